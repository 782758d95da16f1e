package collectives_test

import (
	"context"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// TestTune: all ranks get the same model, which can be stored and installed.
func TestTune(t *testing.T) {
	defer collectives.ShortTune()()
	for _, size := range []int{1, 3} {
		models := make([]collectives.Model, size)
		cluster := runtimetest.NewTCPCluster(size)
		cluster.Edit = func(cfg *runtime.Config) { cfg.Host = []string{"a", "a", "b"}[cfg.Rank] }
		errs := cluster.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
			m, err := collectives.Tune(ctx, c)
			if err != nil {
				return err
			}
			models[c.Rank()] = m
			if !reflect.DeepEqual(collectives.Installed(c), collectives.DefaultModel()) {
				return errors.Errorf("installed: %+v", collectives.Installed(c))
			}
			text, err := json.Marshal(m)
			if err != nil {
				return err
			}
			var back collectives.Model
			if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, m) {
				return errors.Errorf("%s comes back as %+v: %v", text, back, err)
			}
			if err := collectives.Install(c, back); err != nil {
				return err
			}
			x := make([]float64, 10_000)
			return collectives.Allreduce(ctx, c, x, x, collectives.Sum)
		})
		if err := runtimetest.Primary(errs); err != nil {
			t.Fatal(err)
		}
		for r, m := range models {
			if !reflect.DeepEqual(m, models[0]) {
				t.Errorf("rank %d has %+v, rank 0 %+v", r, m, models[0])
			}
			if m.Gamma <= 0 || size > 1 && (m.Alpha <= 0 || m.Beta <= 0 || m.Local == nil || m.Segment <= 0) {
				t.Errorf("%d ranks: %+v", size, m)
			}
		}
	}
}

func TestInstall(t *testing.T) {
	runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		for want, m := range map[string]collectives.Model{
			"negative":            {Gamma: -1},
			`no operation "sum"`:  {Rules: []collectives.Rule{{Verb: "sum", Algorithm: "ring"}}},
			`no algorithm "fast"`: {Rules: []collectives.Rule{{Verb: "bcast", Algorithm: "fast"}}},
		} {
			if err := collectives.Install(c, m); err == nil || !strings.Contains(err.Error(), want) {
				return errors.Errorf("want %s, got %v", want, err)
			}
		}
		// Ranks with different models are told.
		m := collectives.DefaultModel()
		if c.Rank() == 1 {
			m.Rules = []collectives.Rule{{Verb: "allreduce", Algorithm: "rabenseifner"}}
		}
		if err := collectives.Install(c, m); err != nil {
			return err
		}
		x := make([]int32, 4)
		err := collectives.Allreduce(ctx, c, x, x, collectives.Sum)
		for _, part := range []string{"algorithm doubling", "algorithm rabenseifner"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				return errors.Errorf("want %s, got %v", part, err)
			}
		}
		return nil
	})
}

func TestAlone(t *testing.T) {
	link := collectives.Link{Alpha: 600, Beta: 0.75}
	for _, x := range []struct {
		ranks, cores int
		want         collectives.Link
	}{
		{4, 0, link}, {1, 2, link}, {2, 2, link}, {4, 2, collectives.Link{Alpha: 300, Beta: 0.375}}, {6, 4, collectives.Link{Alpha: 400, Beta: 0.5}},
	} {
		got := collectives.Alone(link, x.ranks, x.cores)
		if math.Abs(got.Alpha-x.want.Alpha) > 1e-9 || math.Abs(got.Beta-x.want.Beta) > 1e-9 {
			t.Errorf("%d ranks on %d cores: %v, want %v", x.ranks, x.cores, got, x.want)
		}
	}
}
