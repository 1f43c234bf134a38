package drift_test

import (
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/drift"
)

// modelFile predicts from the features of a Materializer.
const modelFile = "../examples/server/demo/model.txt"

func loadModel(t testing.TB, opts ...basket.ModelOption) *basket.FileModel {
	t.Helper()
	m, err := basket.LoadModel(modelFile, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// otherModel is a model of the same features in another file.
func otherModel(t testing.TB) *basket.FileModel {
	t.Helper()
	text, err := os.ReadFile(modelFile)
	if err != nil {
		t.Fatal(err)
	}
	m, err := basket.ReadModel(strings.NewReader(string(text)+"\n"), basket.WithModelID("price@2"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// newRow returns a row like those of a shop: a basket value that is the number of items
// times a mean price, and small counts.
func newRow(r *rand.Rand) []float64 {
	items := 1 + math.Floor(r.ExpFloat64()*6)
	regulars := math.Floor(math.Abs(r.NormFloat64()) * 3)
	return []float64{items * 7.35, items, min(regulars, math.Floor(items/2)), regulars}
}

func newRows(seed uint64, n int) [][]float64 {
	r := rand.New(rand.NewPCG(seed, 0))
	rows := make([][]float64, n)
	for i := range rows {
		rows[i] = newRow(r)
	}
	return rows
}

func sequence(rows [][]float64) iter.Seq2[basket.Row, error] {
	return func(yield func(basket.Row, error) bool) {
		for _, values := range rows {
			if !yield(basket.Row{Values: values}, nil) {
				return
			}
		}
	}
}

func newProfile(t testing.TB, rows [][]float64, opts ...drift.ProfileOption) *drift.Profile {
	t.Helper()
	p, err := drift.NewProfile(t.Context(), sequence(rows), basket.FeatureNames(), loadModel(t), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newMonitor(t testing.TB, p *drift.Profile, opts ...drift.MonitorOption) *drift.Monitor {
	t.Helper()
	m, err := drift.NewMonitor(p, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// names is one slice, as that of a Predictor.
var names = basket.FeatureNames()

// event is a prediction by the profile's model.
func event(values []float64, prediction float64, at time.Time) basket.ModelEvent {
	return basket.ModelEvent{Time: at, Answer: math.NaN(), Result: basket.Result{Prediction: basket.Prediction{
		UserID: "u", Value: prediction, Route: "main", Model: profileModel, Features: names, Row: basket.Row{Values: values},
	}}}
}

// loadedModel is the model of modelFile, and profileModel its String.
var (
	loadedModel  = mustLoad()
	profileModel = loadedModel.String()
	marginOption = basket.WithMargin()
)

func mustLoad() *basket.FileModel {
	m, err := basket.LoadModel(modelFile)
	if err != nil {
		panic(err)
	}
	return m
}

// predict returns the model's predictions of rows.
func predict(t testing.TB, m basket.Model, rows [][]float64) []float64 {
	t.Helper()
	predictions := make([]float64, len(rows))
	if err := m.Predict(t.Context(), predictions, slices.Concat(rows...)); err != nil {
		t.Fatal(err)
	}
	return predictions
}
