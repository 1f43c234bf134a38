package basketbeam

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/basket-go/basket"
)

// A Prediction is the predicted price of a user's next basket.
type Prediction struct {
	UserID    string
	OrderedAt time.Time // of the feature row
	Number    int       // of the feature row
	Value     float64   // price, in the currency of the inventory; NaN if the model gives no finite one
}

// row returns a row whose only value is the price.
func (p Prediction) row() basket.Row {
	return basket.Row{UserID: p.UserID, OrderedAt: p.OrderedAt, Number: p.Number, Values: []float64{p.Value}}
}

func init() {
	register.DoFn3x1[context.Context, basket.Row, func(Prediction), error](&predictFn{})
	register.Emitter1[Prediction]()
}

// Predict predicts for feature rows, a collection of [basket.Row] whose values are
// named by basket.FeatureNames, by the model in a file: a [Prediction] for each row,
// equal to that of a basket.Predictor. Features, if given, names the model's
// columns, as [basket.WithFeatureNames] does. Each worker reads the file
// before its first row, once for each of its threads. A model that
// [basket.ReadModel] refuses, that needs other features or that gives several
// predictions a row ends the job.
func Predict(s beam.Scope, model string, rows beam.PCollection, features ...string) beam.PCollection {
	return beam.ParDo(s.Scope("basketbeam.Predict"), &predictFn{Model: model, Features: features}, rows)
}

// predictRows is how many rows a model predicts at a time.
const predictRows = 256

type predictFn struct {
	Model    string
	Features []string

	model   *basket.FileModel
	columns []int // where the model's features are in a row
	batch   []basket.Row
	values  []float64 // of the batch, row-major in the model's order
	dst     []float64
}

// Setup reads the model.
func (fn *predictFn) Setup(ctx context.Context) error {
	m, err := fn.readModel(ctx)
	if err != nil {
		return err
	}
	names := basket.FeatureNames()
	store, err := basket.NewMemoryStore(basket.Values[basket.Row](nil), names...)
	if err != nil {
		return err
	}
	if _, err := basket.New(basket.WithStore(store), basket.WithModel(m)); err != nil {
		return fmt.Errorf("basketbeam: model %s: %w", fn.Model, err)
	}
	fn.model, fn.columns = m, nil
	for _, name := range m.Features() {
		fn.columns = append(fn.columns, slices.Index(names, name))
	}
	return nil
}

func (fn *predictFn) readModel(ctx context.Context) (*basket.FileModel, error) {
	folder, name := splitPath(fn.Model)
	fsys, err := openFS(ctx, folder)
	if err != nil {
		return nil, err
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("basketbeam: model %s: %w", fn.Model, err)
	}
	defer f.Close()
	var opts []basket.ModelOption
	if len(fn.Features) > 0 {
		opts = append(opts, basket.WithFeatureNames(fn.Features...))
	}
	m, err := basket.ReadModel(f, opts...)
	if err != nil {
		return nil, fmt.Errorf("basketbeam: model %s: %w", fn.Model, err)
	}
	return m, nil
}

// StartBundle forgets the rows of a bundle that failed.
func (fn *predictFn) StartBundle(context.Context, func(Prediction)) {
	fn.batch, fn.values = fn.batch[:0], fn.values[:0]
}

// ProcessElement predicts when there are enough rows.
func (fn *predictFn) ProcessElement(ctx context.Context, row basket.Row, emit func(Prediction)) error {
	if want := len(basket.FeatureNames()); len(row.Values) != want {
		return fmt.Errorf("basketbeam: %w: row of user %.64q has %d values: want %d", basket.ErrData, row.UserID, len(row.Values), want)
	}
	for _, column := range fn.columns {
		fn.values = append(fn.values, row.Values[column])
	}
	if fn.batch = append(fn.batch, row); len(fn.batch) == predictRows {
		return fn.predict(ctx, emit)
	}
	return nil
}

// FinishBundle predicts for the rows that are left.
func (fn *predictFn) FinishBundle(ctx context.Context, emit func(Prediction)) error {
	return fn.predict(ctx, emit)
}

func (fn *predictFn) predict(ctx context.Context, emit func(Prediction)) error {
	fn.dst = slices.Grow(fn.dst[:0], len(fn.batch))[:len(fn.batch)]
	if err := fn.model.Predict(ctx, fn.dst, fn.values); err != nil {
		return fmt.Errorf("basketbeam: model %s: %w", fn.Model, err)
	}
	for i, row := range fn.batch {
		p := Prediction{UserID: row.UserID, OrderedAt: row.OrderedAt, Number: row.Number, Value: fn.dst[i]}
		if math.IsInf(p.Value, 0) {
			p.Value = math.NaN()
		}
		emit(p)
	}
	clear(fn.batch)
	fn.batch, fn.values = fn.batch[:0], fn.values[:0]
	return nil
}
