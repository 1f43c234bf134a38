package basket

import (
	"errors"
	"strings"
	"testing"

	"github.com/basket-go/basket/internal/forest"
)

// TestFileModel_panics: no file is known whose model panics, so a model without
// trees stands in. A panic is an error, in the goroutines of PredictParallel too.
func TestFileModel_panics(t *testing.T) {
	m := &FileModel{evaluator: (*forest.Forest)(nil), names: []string{"regulars_count"}, info: ModelInfo{Outputs: 1}}
	store, err := NewMemoryStore(Values([]Row{{UserID: "a", Values: make([]float64, 4)}}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(WithStore(store), WithModel(m))
	if err != nil {
		t.Fatal(err)
	}
	_, one := p.Predict(t.Context(), "a")
	_, explained := p.Explain(t.Context(), "a")
	for name, err := range map[string]error{
		"Predict": one, "Explain": explained,
		"PredictBatch":    p.PredictBatch(t.Context(), []string{"a"})[0].Err,
		"PredictParallel": m.PredictParallel(t.Context(), make([]float64, 1000), make([]float64, 1000), 2),
	} {
		if !errors.Is(err, ErrPrediction) || !strings.Contains(err.Error(), "panic: ") {
			t.Errorf("%s: %v, want ErrPrediction with the panic", name, err)
		}
	}
}
