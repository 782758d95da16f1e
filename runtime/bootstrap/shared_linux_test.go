package bootstrap

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAttachShared hands over descriptors with the welcome.
func TestAttachShared(t *testing.T) {
	place := &Place{ID: "m", Slot: 1, Slots: 2}
	for _, tt := range []struct {
		name  string
		place *Place
		files int
		want  bool
	}{
		{"all", place, 3, true},
		{"none", place, 0, false},
		{"too few", place, 2, false},
		{"unasked", nil, 3, false},
		{"nothing", nil, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			agent, conn := socketPair(t)
			var rights []int
			for range tt.files {
				rights = append(rights, int(agent.Fd()))
			}
			m := welcome(0, 2)
			m.Welcome.Shared = tt.place
			line, err := AppendMessage(nil, m)
			if err != nil {
				t.Fatal(err)
			}
			before := descriptorsOpen(t)
			if err := unix.Sendmsg(int(agent.Fd()), line, unix.UnixRights(rights...), nil, 0); err != nil {
				t.Fatal(err)
			}
			cfg, err := Attach(conn)
			if err != nil {
				t.Fatal(err)
			}
			if (cfg.Shared != nil) != tt.want {
				t.Fatalf("got %+v", cfg.Shared)
			}
			if s := cfg.Shared; s != nil {
				if s.Place != *place || len(s.Bells) != 2 {
					t.Errorf("got %+v", s)
				}
				for _, fd := range append(s.Bells, s.Memory) {
					if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
						t.Errorf("descriptor %d is inherited: %v", fd, err)
					}
				}
				s.Close()
			}
			if after := descriptorsOpen(t); after != before {
				t.Errorf("%d descriptors open, %d before", after, before)
			}
			if err := cfg.Control.Finish(Verdict{OK: true}); err != nil {
				t.Fatal(err)
			}
		})
	}
	for _, p := range []Place{{}, {ID: "m", Slot: -1, Slots: 2}, {ID: "m", Slots: MaxShared + 1}, {ID: "m", Slot: 3, Slots: 2}} {
		m := welcome(0, 2)
		m.Welcome.Shared = &p
		if _, err := AppendMessage(nil, m); err == nil {
			t.Errorf("%+v is welcome", p)
		}
	}
}

// descriptorsOpen counts this process's descriptors.
func descriptorsOpen(t *testing.T) int {
	t.Helper()
	dir, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(dir)
}
