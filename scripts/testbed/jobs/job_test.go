//go:build linux

package jobs_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
	"github.com/sspurn/sspurn/scripts/testbed"
)

// writeRatings makes a small file of ratings that the hosts see.
func (c *cluster) writeRatings(t *testing.T) string {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for user := range 300 {
		for range 30 {
			item := rng.IntN(200)
			fmt.Fprintf(&b, "%d\t%d\t%d\n", user, item, 1+(user*7+item*3)%5)
		}
	}
	path := filepath.Join(c.data, "ratings.tsv")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// startForever starts matrix factorisation on 8 ranks, with more passes than
// anybody waits for.
func (c *cluster) startForever(t *testing.T, onDemand string) *job {
	t.Helper()
	return c.start(t, 8, []string{"-wdir", "/tmp", "-on-demand", onDemand}, "mf", "-data", c.writeRatings(t), "-rank", "8", "-sync", "ssp:3", "-epochs", "1000000")
}

// TestJob runs matrix factorisation to its end: the hosts have neither sspurn
// nor the program at first.
func TestJob(t *testing.T) {
	c := newCluster(t)
	ratings := c.writeRatings(t)
	model := filepath.Join(c.home, "model.txt")
	for _, hint := range []string{"staged", "from the cache"} {
		t.Run(strings.ReplaceAll(hint, " ", "-"), func(t *testing.T) {
			j := c.start(t, 8, []string{"-wdir", "/tmp"}, "mf", "-data", ratings, "-rank", "8", "-sync", "ssp:3", "-epochs", "5", "-out", "model.txt")
			if code := j.end(60 * time.Second); code != 0 {
				t.Fatalf("exit status %d", code)
			}
			if !strings.Contains(j.out.String(), "result app=mf") || !strings.Contains(j.out.String(), "ranks=8") {
				t.Errorf("no result line with ranks=8")
			}
			j.quiet(5*time.Second, nil)
		})
	}
	if _, err := os.Stat(model); err == nil {
		t.Error("the model is on the launcher's host, want it in rank 0's folder")
	}
	if out, err := c.Hosts()[0].Output(t.Context(), "head", "-n", "1", "/tmp/model.txt"); err != nil || !strings.HasPrefix(out, "f ") {
		t.Errorf("model on rank 0's host: got %q, %v, want it to start with f", out, err)
	}
}

// TestStrangers connects to the mesh ports of a running job with what a
// stranger may say, and expects each to be refused and logged once while the
// job runs on.
func TestStrangers(t *testing.T) {
	c := newCluster(t)
	record := filepath.Join(c.home, "run")
	j := c.start(t, 5, []string{"-run-dir", record}, "synth", "-compute", "20ms", "-clocks", "250", "-rows", "64", "-width", "8", "-touch", "4", "-check")
	addrs := j.awaitListeners(5)
	var info telemetry.JobInfo
	text, err := os.ReadFile(filepath.Join(record, telemetry.JobFile))
	if err == nil {
		err = json.Unmarshal(text, &info)
	}
	if err != nil || info.Job == "" {
		t.Fatalf("description of the job: %+v, %v", info, err)
	}
	strangers := []struct {
		name string
		says []byte
		log  string // what a rank logs of it
	}{
		{"garbage", bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 20), "does not speak the mesh's protocol"},
		{"other job", hello("another job", 1, 0), "belongs to another job"},
		{"wrong secret", hello(info.Job, 1, 0), "does not know the job's secret"},
		{"silence", nil, "said nothing in time"},
	}
	var conns []net.Conn
	for _, s := range strangers {
		for range 3 { // repetitions are not logged again
			conn, err := c.Launcher().Dial(t.Context(), addrs[0])
			if err != nil {
				t.Fatalf("%s: %v", s.name, err)
			}
			defer conn.Close()
			if _, err := conn.Write(s.says); err != nil {
				t.Fatalf("%s: %v", s.name, err)
			}
			conns = append(conns, conn)
		}
	}
	for i, conn := range conns {
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 1)
		if n, err := conn.Read(got); n != 0 || err == nil || os.IsTimeout(err) {
			t.Errorf("%s: read %d bytes, %v, want the connection closed without a word", strangers[i/3].name, n, err)
		}
	}
	if code := j.end(60 * time.Second); code != 0 {
		t.Errorf("exit status %d, want the job unharmed", code)
	}
	for _, s := range strangers {
		if n := strings.Count(j.out.String(), s.log); n != 1 {
			t.Errorf("%s: logged %d times, want once (%q)", s.name, n, s.log)
		}
	}
	j.quiet(5*time.Second, nil)
}

// hello is the first message of the mesh's handshake, from somebody who does
// not know the secret.
func hello(job string, from, to uint32) []byte {
	b := make([]byte, 120)
	copy(b, "sspurn\x00\x01")
	binary.NativeEndian.PutUint32(b[8:], 0x01020304)
	b[12] = 1
	binary.LittleEndian.PutUint32(b[16:], from)
	binary.LittleEndian.PutUint32(b[20:], to)
	digest := sha256.Sum256([]byte(job))
	copy(b[24:], digest[:])
	return b
}

// awaitListeners waits until ranks listen on n ports and returns their
// addresses.
func (j *job) awaitListeners(n int) []string {
	j.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		var addrs []string
		for _, h := range j.c.Hosts() {
			addrs = append(addrs, listeners(j.t, h)...)
		}
		if len(addrs) >= n {
			return addrs
		}
		select {
		case <-j.ended:
			j.t.Fatalf("the launcher ended, %v, before the ranks listened", j.cmd.ProcessState)
		case <-deadline:
			j.t.Fatalf("ranks listen on %v, want %d ports", addrs, n)
		case <-time.After(time.Millisecond):
		}
	}
}

// listeners returns the addresses on which a host's processes, other than
// sshd, listen: lines of /proc/net/tcp in state 0A.
func listeners(t *testing.T, h *testbed.Host) []string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", h.Init.PID))
	if err != nil {
		t.Fatal(err)
	}
	var addrs []string
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 4 || f[3] != "0A" {
			continue
		}
		_, port, _ := strings.Cut(f[1], ":")
		p, err := strconv.ParseUint(port, 16, 16)
		if err != nil {
			t.Fatal(err)
		}
		if p != 22 {
			addrs = append(addrs, net.JoinHostPort(h.Addr, fmt.Sprint(p)))
		}
	}
	return addrs
}
