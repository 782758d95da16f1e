package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"

	"github.com/pkg/errors"
)

// A matrix of rank 3 with noise, of which some entries are known.
const (
	users, items, known = 12_000, 2000, 0.06
	latent              = 3
)

// writeRatings writes the same ratings each time, "user item rating" a line.
func writeRatings(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return errors.Wrap(err, "ratings")
	}
	defer f.Close()
	out := bufio.NewWriter(f)
	rng := rand.New(rand.NewPCG(20, 26))
	factors := func(n int) [][latent]float64 {
		x := make([][latent]float64, n)
		for i := range x {
			for k := range x[i] {
				x[i][k] = rng.NormFloat64()
			}
		}
		return x
	}
	p, q := factors(users), factors(items)
	var line []byte
	for u := range p {
		for i := range q {
			if rng.Float64() >= known {
				continue
			}
			v := 3 + 0.1*rng.NormFloat64()
			for k := range latent {
				v += 0.3 * p[u][k] * q[i][k]
			}
			line = fmt.Appendf(line[:0], "%d\t%d\t", u+1, i+1)
			line = strconv.AppendFloat(line, v, 'f', 3, 64)
			_, _ = out.Write(append(line, '\n')) // the error stays with the writer
		}
	}
	if err := out.Flush(); err != nil {
		return errors.Wrap(err, "ratings")
	}
	return errors.Wrap(f.Close(), "ratings")
}
