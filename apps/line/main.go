// Line fits y = 3x + 1 to noisy points: each rank draws its own, the store holds the two weights.
package main

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/ssp"
)

func main() {
	if err := runtime.Run(context.Background(), fit); err != nil {
		log.Fatal(err)
	}
}

func fit(ctx context.Context, c *runtime.Comm) error {
	store, err := ssp.Open(ctx, c, ssp.Config{Policy: ssp.SSP(3)}) // reads may be three clocks old
	if err != nil {
		return err
	}
	table, err := ssp.CreateTable(ctx, store, ssp.TableSpec[float64]{Name: "weights", Rows: 1, Width: 2})
	if err != nil {
		return err
	}
	var loss float64
	err = store.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
		view, points := table.View(w), rand.New(rand.NewPCG(1, uint64(c.Rank())))
		row, rate := make([]float64, 2), 0.2/float64(c.Size())
		for range 2000 {
			if err := view.Get(ctx, 0, row); err != nil {
				return err
			}
			x := points.Float64()
			miss := 3*x + 1 + 0.1*points.NormFloat64() - (row[0]*x + row[1])
			loss += (miss*miss - loss) / 100
			view.Inc(0, []float64{rate * miss * x, rate * miss})
			if err := w.Clock(ctx); err != nil { // hand the updates over, go on to the next iteration
				return err
			}
		}
		return view.Get(ctx, 0, row)
	})
	if err != nil {
		return err
	}
	sum, err := collectives.AllreduceValue(ctx, c, loss, collectives.Sum)
	if err == nil && c.Rank() == 0 {
		fmt.Printf("%d ranks, mean squared error %.4f\n", c.Size(), sum/float64(c.Size()))
	}
	return err
}
