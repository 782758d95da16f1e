package main

import (
	"context"
	"math"
	"strconv"
	"strings"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/ssp"
)

// parseUpdate sets cfg.rule, and cfg.adagrad where its rate matters.
func (cfg *config) parseUpdate() error {
	cfg.adagrad = 0
	if cfg.update == "" {
		return nil // derived from the rows
	}
	var err error
	if cfg.rule, err = ssp.ParseUpdate(cfg.update); err != nil {
		return err
	}
	if strings.HasPrefix(cfg.update, "user:") {
		return errors.Errorf("-update %s: there is no such rule here", cfg.update)
	}
	if cfg.l1 == 0 || cfg.rule == ssp.Add() {
		return nil
	}
	if rate, ok := strings.CutPrefix(cfg.update, "adagrad:"); ok {
		if cfg.adagrad, err = strconv.ParseFloat(rate, 64); err == nil {
			return nil
		}
	}
	return errors.Errorf("-l1 with -update %s: expected add, adagrad:RATE or, without -l1, ftrl:ALPHA,BETA,L1,L2", cfg.update)
}

// settle derives the rule from the rows where the flags do not say it.
func (cfg *config) settle(d *dataset) {
	if cfg.update == "" {
		cfg.adagrad = derivedRate(d.square)
		cfg.rule = ssp.AdaGrad(cfg.adagrad)
		cfg.update = cfg.rule.String()
	}
	if cfg.l1 > 0 && cfg.rule != ssp.Add() {
		cfg.rule = ssp.UserDefined("adagrad-l1", 1)
	}
}

// proximal is AdaGrad with a proximal step for a penalty on absolute values
// (Duchi, Hazan, Singer: Adaptive subgradient methods, JMLR 12, 2011, section
// 5.1, composite mirror descent): n += g², x −= rate·g/√n, and then x moves
// towards zero by rate·l1·share/√n, and no further. share, by weight, is what
// falls to one gradient of a pass's penalty.
func proximal(rate, l1 float64, width int, share []float32) func(row int64, x, n, g []float32) {
	return func(row int64, x, n, g []float32) {
		part := share[int(row)*width:][:len(x)]
		n, g = n[:len(x)], g[:len(x)]
		for i, d := range g {
			if d == 0 {
				continue
			}
			sum := float64(n[i]) + float64(d)*float64(d)
			n[i] = float32(sum)
			step := rate / (math.Sqrt(sum) + 1e-8)
			x[i] = shrink(float32(float64(x[i])-step*float64(d)), float32(step*l1*float64(part[i])))
		}
	}
}

// shares returns, for every weight, the number of training rows by the number of
// gradients that a pass sends for it: those of a rank's workers for one clock
// leave together, but for policies without bound. It is collective.
func (t *trainer) shares(ctx context.Context, c *runtime.Comm, size int) ([]float32, error) {
	_, together := t.job.Policy.Staleness()
	count, last := make([]int32, size), make([]int32, size)
	n := int32(0)
	for b := range t.batches {
		for w, l := range t.local {
			if w == 0 || !together {
				n++
			}
			x := &l.batches[b]
			for _, p := range x.place {
				j := int(x.rows[int(p)/t.width])*t.width + int(p)%t.width
				if last[j] != n {
					last[j] = n
					count[j]++
				}
			}
		}
	}
	if err := collectives.Allreduce(ctx, c, count, count, collectives.Sum); err != nil {
		return nil, err
	}
	share := make([]float32, size)
	for j, k := range count {
		if k > 0 {
			share[j] = float32(float64(t.data.trainRows) / float64(k))
		}
	}
	return share, nil
}
