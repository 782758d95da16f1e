//go:build unix && !linux

package agent

import (
	goruntime "runtime"

	"github.com/pkg/errors"
)

// ownCores says that there is no call for it here.
func ownCores() ([]int, error) { return nil, errors.Errorf("not on %s", goruntime.GOOS) }

// bound says the same and starts nothing.
func bound([]int, func() error) error { return errors.Errorf("not on %s", goruntime.GOOS) }
