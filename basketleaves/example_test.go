package basketleaves_test

import (
	"context"
	"fmt"
	"log"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketleaves"
)

// The same file, read twice: two engines, one answer.
func Example() {
	const path = "../testdata/models/lightgbm-regression/model.txt"
	native, err := basket.LoadModel(path)
	if err != nil {
		log.Fatal(err)
	}
	second, err := basketleaves.Load(path)
	if err != nil {
		log.Fatal(err)
	}

	row := []float64{12, 3, 41.5, 27.9}
	var a, b [1]float64
	if err := native.Predict(context.Background(), a[:], row); err != nil {
		log.Fatal(err)
	}
	if err := second.Predict(context.Background(), b[:], row); err != nil {
		log.Fatal(err)
	}
	fmt.Println(second.Info().Engine, "agrees:", a == b)
	// Output: leaves agrees: true
}

// What leaves would get wrong without a word is refused.
func ExampleLoad_refused() {
	_, err := basketleaves.Load("../testdata/models/lightgbm-linear/model.txt")
	fmt.Println(err)
	// Output: basket: ../testdata/models/lightgbm-linear/model.txt: bad model: leaves: tree 0: linear leaves: it would predict their constant values
}
