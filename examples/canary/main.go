// Command canary is an example of a new model version that first answers one user in
// ten, while it predicts for all others in the shadow of the old one.
//
//	go run ./examples/canary DIR
//
// DIR has two versions or more of the model "price"; see package repository.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"os"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/repository"
)

// differences is a model logger that adds up how far the shadow is from the answers.
// Here one goroutine predicts; in a server it would need a lock.
type differences struct {
	answers map[string]float64 // by user
	sum     float64
}

func (d *differences) LogModel(_ context.Context, e basket.ModelEvent) {
	if e.Shadow {
		d.sum += math.Abs(e.Value - d.answers[e.UserID])
	} else {
		d.answers[e.UserID] = e.Value
	}
}

func run(ctx context.Context, dir string, store basket.Store, users []string, out io.Writer) error {
	models, err := repository.Open(dir)
	if err != nil {
		return err
	}
	var versions []string // newest first
	for _, s := range models.State() {
		if s.Name == "price" {
			versions = s.Loaded
		}
	}
	if len(versions) < 2 {
		return fmt.Errorf("%s: versions %q of the model price: want two at least", dir, versions)
	}
	next, nextErr := models.Model("price@" + versions[0])
	current, currentErr := models.Model("price@" + versions[1])
	d := &differences{answers: map[string]float64{}}
	p, err := basket.New(basket.WithStore(store), basket.WithModelLogger(d), basket.WithRoutes("price-canary",
		basket.Route{Name: "current", Model: current, Weight: 9},
		basket.Route{Name: "canary", Model: next, Weight: 1},
		basket.Route{Name: "shadow", Model: next, Shadow: true},
	))
	if err := errors.Join(nextErr, currentErr, err); err != nil {
		return err
	}
	answered := map[string]int{}
	for _, r := range p.PredictBatch(ctx, users) {
		answered[r.ModelID]++
	}
	_, err = fmt.Fprintf(out, "answers by model: %v; mean difference of the shadow: %.2f\n", answered, d.sum/float64(len(users)))
	return err
}

func main() {
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{{UserID: "ann", Values: []float64{40, 10, 2, 3}}}))
	if err == nil && len(os.Args) == 2 {
		err = run(context.Background(), os.Args[1], store, []string{"ann"}, os.Stdout)
	}
	if err != nil {
		log.Fatal(err)
	}
}
