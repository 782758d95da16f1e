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
		view, points, rate := table.View(w), rand.New(rand.NewPCG(1, uint64(c.Rank()))), 0.2/float64(c.Size())
		for range 2000 {
			weights, err := view.Edit(ctx, 0) // as the policy lets it be seen; ours to change until Clock
			if err != nil {
				return err
			}
			x := points.Float64()
			miss := 3*x + 1 + 0.1*points.NormFloat64() - (weights[0]*x + weights[1])
			loss += (miss*miss - loss) / 100
			weights[0], weights[1] = weights[0]+rate*miss*x, weights[1]+rate*miss
			if err := w.Clock(ctx); err != nil { // sends the difference, begins the next iteration
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	sum, err := collectives.AllreduceValue(ctx, c, loss, collectives.Sum)
	if err != nil {
		return err
	}
	if c.Rank() == 0 {
		fmt.Printf("%d ranks, mean squared error %.4f\n", c.Size(), sum/float64(c.Size()))
	}
	return store.Close(ctx)
}
