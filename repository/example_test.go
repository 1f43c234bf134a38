package repository_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/repository"
)

// demoRepository returns a temporary folder with versions 1 and 2 of a model.
func demoRepository() string {
	dir, err := os.MkdirTemp("", "models")
	if err != nil {
		panic(err)
	}
	publish(dir, "price", "1")
	publish(dir, "price", "2")
	return dir
}

// publish copies a model to the folder of a version.
func publish(dir, name, version string) {
	if err := os.MkdirAll(filepath.Join(dir, name, version), 0o755); err != nil {
		panic(err)
	}
	data, err := os.ReadFile("../testdata/models/lightgbm-regression/model.txt")
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name, version, "model.txt"), data, 0o600); err != nil {
		panic(err)
	}
}

func Example() {
	dir := demoRepository()
	defer os.RemoveAll(dir)
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{{UserID: "abc123", Values: []float64{94.61, 15, 0, 0}}}))
	if err != nil {
		panic(err)
	}
	models, err := repository.Open(dir, repository.WithCheck(func(m *basket.FileModel) error {
		for _, feature := range m.Features() {
			if !slices.Contains(store.Features(), feature) {
				return fmt.Errorf("%w: the store has no %q", basket.ErrFeatureMismatch, feature)
			}
		}
		return nil
	}))
	if err != nil {
		panic(err)
	}
	model, err := models.Model("price")
	if err != nil {
		panic(err)
	}
	p, err := basket.New(basket.WithStore(store), basket.WithModel(model))
	if err != nil {
		panic(err)
	}
	predict := func() {
		prediction, err := p.Predict(context.Background(), "abc123")
		fmt.Println(prediction.ModelID, err)
	}
	predict()

	// Usually in a goroutine, until the service ends.
	publish(dir, "price", "3")
	ctx, cancel := context.WithCancel(context.Background())
	_ = models.Watch(ctx, 10*time.Millisecond, func() {
		if model, err := models.Model("price"); err == nil {
			_ = p.SetModel("default", model)
		}
		cancel()
	})
	predict()
	// Output:
	// price@2 <nil>
	// price@3 <nil>
}

// A version without a model is refused, and the others are served.
func ExampleRepository_State() {
	dir := demoRepository()
	defer os.RemoveAll(dir)
	_ = os.Mkdir(filepath.Join(dir, "price", "3"), 0o755)
	models, err := repository.Open(dir)
	if err != nil {
		panic(err)
	}
	for _, s := range models.State() {
		fmt.Println(s.Name, "serves", s.Served, "of", s.Loaded)
		for _, f := range s.Faults {
			err, _ := filepath.Rel(dir, f.Err.Error())
			fmt.Println(err)
		}
	}
	// Output:
	// price serves 2 of [2 1]
	// price/3: invalid configuration: no model: want one file named model.*
}

func ExampleRepository_Model() {
	dir := demoRepository()
	defer os.RemoveAll(dir)
	models, err := repository.Open(dir, repository.WithPin("price", "1"))
	if err != nil {
		panic(err)
	}
	for _, ref := range []string{"price", "price@2", "prise"} {
		model, err := models.Model(ref)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(ref, "is", model.Info().ID)
	}
	// Output:
	// price is price@1
	// price@2 is price@2
	// repository: invalid configuration: no model is named "prise": want one of ["price"]
}

// The versions that routes name stay loaded.
func ExampleRepository_Hold() {
	dir := demoRepository()
	defer os.RemoveAll(dir)
	models, err := repository.Open(dir, repository.WithHold("price@1"))
	if err != nil {
		panic(err)
	}
	for _, version := range []string{"3", "4", "5"} {
		publish(dir, "price", version)
	}
	for range 2 {
		if _, err := models.Scan(context.Background()); err != nil {
			panic(err)
		}
	}
	fmt.Println(models.State()[0].Loaded)
	models.Hold()
	if _, err := models.Scan(context.Background()); err != nil {
		panic(err)
	}
	fmt.Println(models.State()[0].Loaded)
	// Output:
	// [5 4 3 1]
	// [5 4 3]
}
