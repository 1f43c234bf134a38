package drift_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/drift"
)

// A profile is made once for a model and its rows. The monitor compares with it what is
// served.
func Example() {
	ctx := context.Background()
	model, err := basket.LoadModel("../examples/server/demo/model.txt")
	if err != nil {
		log.Fatal(err)
	}
	profile, err := drift.NewProfile(ctx, sequence(newRows(1, 10_000)), basket.FeatureNames(), model)
	if err != nil {
		log.Fatal(err)
	}
	var file bytes.Buffer // beside the model
	if err := profile.Write(&file); err != nil {
		log.Fatal(err)
	}

	profile, err = drift.ReadProfile(&file)
	if err != nil {
		log.Fatal(err)
	}
	if err := profile.CheckModel(model); err != nil {
		log.Fatal(err)
	}
	monitor, err := drift.NewMonitor(profile) // for basket.WithModelLogger
	if err != nil {
		log.Fatal(err)
	}
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for i, row := range newRows(2, 2000) {
		row[0] *= 1.3 // prices have risen
		monitor.LogModel(ctx, basket.ModelEvent{
			Time: start.Add(time.Duration(i) * 300 * time.Millisecond),
			Result: basket.Result{Prediction: basket.Prediction{
				Route: "main", Model: model.String(), Value: 30, Features: basket.FeatureNames(), Row: basket.Row{Values: row},
			}},
		})
	}
	report := monitor.Report(start.Add(10 * time.Minute))
	for _, column := range report.Routes[0].Columns[:2] {
		fmt.Println(column.Name+":", column.Verdict)
	}
	// Output:
	// prior_basket_value: drift
	// prior_item_count: stable
}
