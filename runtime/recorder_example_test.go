package runtime_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// What rank 0 records as "loss" is the metric by which sspurn compare and sspurn
// report say what was first, and which the progress line shows. Seconds and Clocks
// are those of the work so far, without what it takes to find the value.
func ExampleComm_Recorder() {
	err := runtime.RunLocal(context.Background(), 3, func(ctx context.Context, c *runtime.Comm) error {
		loss, worked := 1.0, time.Duration(0)
		for i := range int64(4) {
			start := time.Now()
			loss /= 2 // the work
			worked += time.Since(start)
			if c.Rank() == 0 {
				c.Recorder().Record(telemetry.Event{
					Kind: "loss", Metric: "test_loss", Better: "lower", Value: loss, Seconds: worked.Seconds(), Clocks: i + 1,
				})
			}
		}
		if c.Rank() == 0 {
			fmt.Println(loss)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 0.0625
}
