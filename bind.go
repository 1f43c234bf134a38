package basket

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
)

// bound is a route whose model's features are matched with the store's.
type bound struct {
	name   string
	weight int
	shadow bool
	hashed string // what precedes a user ID in the hash that chooses a route

	given   Model      // as the caller gave it
	model   Model      // as it is called
	file    *FileModel // model, if it is one: calls of it do not allocate
	text    string     // the model's String
	id      string     // the ID of file
	columns []int      // the store's column for each of the model's; nil if they are the same
	width   int        // number of the model's columns
}

// bindAll binds all routes.
func (p *Predictor) bindAll(experiment string, list []Route) (*routes, error) {
	all := make([]bound, len(list))
	faults := make([]error, len(list))
	for i, r := range list {
		all[i], faults[i] = p.bind(r)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return newRoutes(experiment, all), nil
}

// bind matches the features of a route's model with the store's.
func (p *Predictor) bind(r Route) (bound, error) {
	if isNil(r.Model) {
		return bound{}, fmt.Errorf("basket: %w: route %q has no model", ErrInvalidConfig, r.Name)
	}
	if m, ok := r.Model.(interface{ Outputs() int }); ok && m.Outputs() != 1 {
		return bound{}, fmt.Errorf("basket: %w: route %q: the model gives %d predictions a row: want a model of one price", ErrFeatureMismatch, r.Name, m.Outputs())
	}
	wanted := r.Model.Features()
	b := bound{name: r.Name, weight: r.Weight, shadow: r.Shadow, given: r.Model, model: r.Model, width: len(wanted), text: describe(r.Model)}
	if b.file, _ = r.Model.(*FileModel); b.file != nil {
		b.id = b.file.info.ID
	}
	if p.wrapModel != nil {
		if b.model = p.wrapModel(r.Model); isNil(b.model) {
			return bound{}, fmt.Errorf("basket: %w: route %q: the function of WithModelWrapper returned no model", ErrInvalidConfig, r.Name)
		}
		b.file, _ = b.model.(*FileModel)
	}
	if slices.Equal(wanted, p.features) {
		return b, nil
	}
	b.columns = make([]int, len(wanted))
	for j, name := range wanted {
		b.columns[j] = slices.Index(p.features, name)
		if b.columns[j] < 0 {
			return bound{}, fmt.Errorf("basket: %w: route %q: the model wants %s, the store has %s: %.64q is missing (name the features of a model without names by WithFeatureNames)", ErrFeatureMismatch, r.Name, quoted(wanted), quoted(p.features), name)
		}
	}
	return b, nil
}

// isNil reports whether there is no model: nil, or a nil *FileModel, which a
// failed LoadModel returns.
func isNil(m Model) bool {
	f, ok := m.(*FileModel)
	return m == nil || ok && f == nil
}

// quoted returns a list of names that fits in an error message.
func quoted(names []string) string {
	const most = 20
	if len(names) > most {
		return fmt.Sprintf("%.64q and %d more", names[:most], len(names)-most)
	}
	return fmt.Sprintf("%.64q", names)
}

func describe(m Model) string {
	if s, ok := m.(fmt.Stringer); ok {
		return s.String()
	}
	return fmt.Sprintf("%T", m)
}

// modelError gives an error of a model its kind. A model that ran out of time,
// or reports itself as unavailable, may be asked again.
func modelError(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrPrediction):
		return err
	case isCanceled(ctx, err):
		return fmt.Errorf("basket: %w: model: %w", ErrCanceled, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("basket: %w: model: %w", ErrUnavailable, err)
	}
	return fmt.Errorf("basket: %w: model: %w", ErrPrediction, err)
}

func modelPanic(r any) error {
	return fmt.Errorf("basket: %w: model: %s", ErrPrediction, panicText(r))
}

// predictOne predicts for one row of the store.
func (b *bound) predictOne(ctx context.Context, values []float64) (value float64, err error) {
	if b.file != nil {
		value, err = b.predictFile(ctx, values)
	} else {
		dst := make([]float64, 1)
		err = b.predict(ctx, dst, b.appendColumns(nil, values))
		value = dst[0]
	}
	if err == nil {
		err = checkValue(value)
	}
	if err != nil {
		return 0, err
	}
	return value, nil
}

// predictFile is predict for one row and a FileModel. No interface hides from
// the compiler that the model keeps neither slice, so both stay on the stack.
func (b *bound) predictFile(ctx context.Context, values []float64) (value float64, err error) {
	defer func() {
		if r := recover(); r != nil {
			value, err = 0, modelPanic(r)
		}
	}()
	var dst [1]float64
	var stack [32]float64
	if b.columns != nil {
		values = b.appendColumns(stack[:0], values)
	}
	if err := b.file.Predict(ctx, dst[:], values); err != nil {
		return 0, modelError(ctx, err)
	}
	return dst[0], nil
}

// predictAll predicts for the rows of results[mine], in one batch.
func (b *bound) predictAll(ctx context.Context, results []Result, mine []int) {
	if len(mine) == 0 {
		return
	}
	rows := make([]float64, 0, len(mine)*b.width)
	for _, k := range mine {
		rows = b.appendColumns(rows, results[k].Row.Values)
	}
	dst := make([]float64, len(mine))
	err := b.predict(ctx, dst, rows)
	for i, k := range mine {
		if results[k].Err = err; err == nil {
			results[k].Err = checkValue(dst[i])
		}
		if results[k].Err == nil {
			results[k].Value = dst[i]
		}
	}
}

// explain attributes one row of the store, by the store's features. It is the
// one place that asks whether a Model is an Explainer.
func (b *bound) explain(ctx context.Context, values []float64) (contributions []float64, bias float64, err error) {
	m, ok := b.model.(Explainer)
	if !ok {
		return nil, 0, fmt.Errorf("basket: cannot explain: %w: a model of type %T has no Explain", errors.ErrUnsupported, b.model)
	}
	defer func() {
		if r := recover(); r != nil {
			contributions, bias, err = nil, 0, modelPanic(r)
		}
	}()
	own := make([]float64, b.width)
	if bias, err = m.Explain(ctx, own, b.appendColumns(nil, values)); err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			return nil, 0, err
		}
		return nil, 0, modelError(ctx, err)
	}
	contributions = own
	if b.columns != nil {
		contributions = make([]float64, len(values))
		for j, column := range b.columns {
			contributions[column] = own[j]
		}
	}
	sum := bias
	for _, c := range contributions {
		sum += c
	}
	if err := checkValue(sum); err != nil {
		return nil, 0, err
	}
	return contributions, bias, nil
}

// appendColumns appends the model's columns of a row of the store.
func (b *bound) appendColumns(dst, values []float64) []float64 {
	if b.columns == nil {
		return append(dst, values...)
	}
	for _, j := range b.columns {
		dst = append(dst, values[j])
	}
	return dst
}

// predict calls the model.
func (b *bound) predict(ctx context.Context, dst, rows []float64) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = modelPanic(r)
		}
	}()
	if err := b.model.Predict(ctx, dst, rows); err != nil {
		return modelError(ctx, err)
	}
	return nil
}

func checkValue(v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Errorf("basket: %w: the model's prediction is %v: want a finite number", ErrPrediction, v)
	}
	return nil
}
