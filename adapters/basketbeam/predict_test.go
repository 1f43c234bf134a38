package basketbeam

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/basket-go/basket"
)

// demoModel names its features as basket.FeatureNames does.
const demoModel = "../../examples/server/demo/model.txt"

// columnModel does not name its features.
const columnModel = "../../testdata/models/lightgbm-linear/model.txt"

// TestPredict: the predictions of a pipeline are those of a Predictor, to the last bit.
func TestPredict(t *testing.T) {
	swapped := []string{"regulars_count", "prior_item_count", "prior_basket_value", "prior_regulars_count"}
	tests := map[string]struct {
		model    string
		features []string
	}{
		"named":       {demoModel, nil},
		"other order": {columnModel, swapped},
	}
	dir := randomShop(5, 700, 3000).write(t, 3, 100)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var opts []basket.ModelOption
			if test.features != nil {
				opts = append(opts, basket.WithFeatureNames(test.features...))
			}
			want := predict(t, dir, test.model, opts...)
			out := t.TempDir()
			err := run(t, func(s beam.Scope) {
				rows := Latest(s, Read(s, dir), basket.LastOrder)
				WritePredictions(s, out, 3, Predict(s, test.model, rows, test.features...))
			})
			if err != nil {
				t.Fatal(err)
			}
			sameBits(t, want, readOutput(t, out, "price"))
		})
	}
}

// predict predicts for all users on one machine. The Value of a prediction is the only
// value of its row.
func predict(t testing.TB, dir, model string, opts ...basket.ModelOption) []basket.Row {
	t.Helper()
	rows := materialize(t, dir, basket.LastOrder, true)
	store, err := basket.NewMemoryStore(basket.Values(rows))
	if err != nil {
		t.Fatal(err)
	}
	m, err := basket.LoadModel(model, opts...)
	if err != nil {
		t.Fatal(err)
	}
	p, err := basket.New(basket.WithStore(store), basket.WithModel(m))
	if err != nil {
		t.Fatal(err)
	}
	prices := map[float64]bool{}
	want := make([]basket.Row, len(rows))
	for i, row := range rows {
		result, err := p.Predict(t.Context(), row.UserID)
		if err != nil {
			t.Fatal(err)
		}
		want[i] = Prediction{row.UserID, row.OrderedAt, row.Number, result.Value}.row()
		prices[result.Value] = true
	}
	if len(prices) < 10 {
		t.Fatalf("%d different prices: want a test that tells rows apart", len(prices))
	}
	return want
}

func TestPredict_refuses(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.txt")
	if err := os.WriteFile(broken, []byte("tree\nversion=v4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		model string
		want  []string
	}{
		"no file":        {"missing/model.txt", []string{"model missing/model.txt", "no such file"}},
		"damaged":        {broken, []string{broken, "bad model"}},
		"other features": {"../../testdata/models/lightgbm-categorical/model.txt", []string{"lightgbm-categorical", "Column_4"}},
		"many outputs":   {"../../testdata/models/lightgbm-multiclass/model.txt", []string{"lightgbm-multiclass", "predictions a row: want a model of one price"}},
		"no such scheme": {"shop://models/model.txt", []string{"shop://models", "no file system is registered"}},
	}
	dir := randomShop(5, 10, 50).write(t, 1, 100)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			err := run(t, func(s beam.Scope) {
				WritePredictions(s, out, 2, Predict(s, test.model, Latest(s, Read(s, dir), basket.LastOrder)))
			})
			checkFailed(t, err, out, test.want...)
		})
	}
}

// checkFailed checks that a job has failed with words in its error, and that its
// output cannot be taken for complete.
func checkFailed(t *testing.T, err error, out string, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %v\nwant it to contain %q", err, word)
		}
	}
	if _, err := os.Stat(filepath.Join(out, success)); err == nil {
		t.Errorf("there is a file %s", success)
	}
}

type infiniteFn struct{}

func (infiniteFn) ProcessElement(_ []byte, emit func(Prediction)) {
	emit(Prediction{UserID: "a", Number: 1, Value: math.NaN()})
	emit(Prediction{UserID: "b", Number: 2, Value: 1.5})
}

func init() { register.DoFn2x0[[]byte, func(Prediction)](&infiniteFn{}) }

// TestWritePredictions_missing: NaN is written as null.
func TestWritePredictions_missing(t *testing.T) {
	out := t.TempDir()
	err := run(t, func(s beam.Scope) {
		WritePredictions(s, out, 2, beam.ParDo(s, &infiniteFn{}, beam.Impulse(s)))
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := readOutput(t, out, "price")
	if len(rows) != 2 || !math.IsNaN(rows[0].Values[0]) || rows[1].Values[0] != 1.5 || !rows[0].OrderedAt.IsZero() {
		t.Errorf("rows %v: want a with NaN and b with 1.5", rows)
	}
}
