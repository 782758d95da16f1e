//go:build !linux || portable

package runtime

import "log/slog"

// share returns nil: ranks share memory on Linux only.
func (cfg Config) share(*slog.Logger) segment {
	if cfg.Shared != nil {
		cfg.Shared.Close()
	}
	return nil
}
