package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// lab measures points on all sides.
type lab struct {
	options
	sides    []side
	progress io.Writer

	found map[string]map[point][]float64 // by side and point: µs by round; NaN where there is none
}

// measure measures all points, each round and group on one side after the other,
// another side first each time. What a peer does not do in time is missing; what
// sspurn does not do is an error.
func (l *lab) measure(ctx context.Context, todo []point) error {
	l.found = map[string]map[point][]float64{}
	for _, s := range l.sides {
		l.found[s.name] = map[point][]float64{}
	}
	list := groups(todo)
	start, done, total := time.Now(), 0, l.rounds*len(list)
	for round := range l.rounds {
		for i, g := range list {
			left := "?"
			if done > 0 {
				left = fmt.Sprintf("%.0f", (time.Since(start) / time.Duration(done) * time.Duration(total-done)).Seconds())
			}
			done++
			fmt.Fprintf(l.progress, "[%d/%d, about %s s left] %s %s, %d ranks\n", done, total, left, g.transport, g.op, g.ranks)
			for turn := range l.sides {
				s := l.sides[(turn+i+round)%len(l.sides)]
				if err := l.one(ctx, s, g, todo); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// one measures a group on one side once.
func (l *lab) one(ctx context.Context, s side, g group, todo []point) error {
	var times map[int]float64
	var err error
	if isLaunch(g.op) {
		times, err = l.launchOnce(ctx, s, g)
	} else {
		times, err = l.runOnce(ctx, s, g)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		fmt.Fprintf(l.progress, "%s: %v\n", s.name, err)
		if s.name == l.sides[0].name {
			return err
		}
	}
	for _, p := range todo {
		if p.transport != g.transport || p.op != g.op || p.ranks != g.ranks {
			continue
		}
		usec, ok := times[p.bytes]
		if !ok {
			usec = math.NaN()
		}
		l.found[s.name][p] = append(l.found[s.name][p], usec)
	}
	return nil
}

// runOnce runs the program of a side and returns the µs by bytes.
func (l *lab) runOnce(ctx context.Context, s side, g group) (map[int]float64, error) {
	words, env := s.command(g, l.options)
	if words == nil {
		return nil, nil
	}
	out, _, err := launch(ctx, l.limit, slices.Concat(l.under, words), env)
	if err != nil {
		return nil, err
	}
	return parseRows(out, g.op)
}

// parseRows reads the CSV lines about an operation: µs by bytes. Other lines, such
// as warnings of a library, are passed over.
func parseRows(out, op string) (map[int]float64, error) {
	times := map[int]float64{}
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		if len(fields) != 9 || fields[0] != op {
			continue
		}
		bytes, err1 := strconv.Atoi(fields[1])
		usec, err2 := strconv.ParseFloat(fields[4], 64)
		if err1 != nil || err2 != nil || !(usec > 0) {
			return nil, fmt.Errorf("not a row of figures: %q", line)
		}
		times[bytes] = usec
	}
	if len(times) == 0 {
		return nil, fmt.Errorf("no figures for %s in %q", op, out)
	}
	return times, nil
}

// launchOnce starts a job of sspurn and returns how long it took. The peers have
// no part in that: their launchers do not end at times.
func (l *lab) launchOnce(ctx context.Context, s side, g group) (map[int]float64, error) {
	if s.name != l.sides[0].name {
		return nil, nil
	}
	took, err := l.start(ctx, g.op)
	return map[int]float64{0: float64(took) / 1e3}, err
}

// start starts 64 processes with sspurn and waits for their end.
func (l *lab) start(ctx context.Context, op string) (time.Duration, error) {
	words := []string{filepath.Join(l.bin, "sspurn"), "-n", strconv.Itoa(launchRanks), "-record", "off", "-progress", "off"}
	if op == launchTrue {
		words = append(words, "true")
	} else {
		words = append(words, filepath.Join(l.bin, "bench"), "-empty")
	}
	_, took, err := launch(ctx, l.limit, slices.Concat(l.under, words), nil)
	return took, err
}

// hammer starts jobs again and again, every tenth with ranks that connect, and
// says how long they took. One that does not end or fails is an error.
func (l *lab) hammer(ctx context.Context, out io.Writer) error {
	took := map[string][]float64{}
	told := time.Now()
	for i := range l.launches {
		op := launchTrue
		if i%10 == 9 {
			op = launchEmpty
		}
		d, err := l.start(ctx, op)
		if err != nil {
			return fmt.Errorf("launch %d of %d: %w", i+1, l.launches, err)
		}
		took[op] = append(took[op], float64(d)/1e6)
		if time.Since(told) > 2*time.Second {
			told = time.Now()
			fmt.Fprintf(l.progress, "[%d/%d launches] %s: %.0f ms\n", i+1, l.launches, op, float64(d)/1e6)
		}
	}
	for _, op := range []string{launchTrue, launchEmpty} {
		if ms := took[op]; len(ms) > 0 {
			slices.Sort(ms)
			fmt.Fprintf(out, "%s: %d launches of %d processes, all ended: median %.1f ms, p99 %.1f ms, max %.1f ms\n",
				op, len(ms), launchRanks, median(ms), ms[len(ms)*99/100], ms[len(ms)-1])
		}
	}
	return nil
}
