package basket

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
)

// bound is a route whose model's features are matched with the store's.
type bound struct {
	name   string
	weight uint64
	model  Model
	forest *Forest // model, if it is one: called without an interface, a prediction allocates nothing
	text   string  // the model's String
	from   []int   // the store's column for each of the model's; nil if they are the same
	width  int     // number of the model's columns
}

// bind matches a model's features with the store's.
func (p *Predictor) bind(route string, m Model) (bound, error) {
	if m == nil {
		return bound{}, fmt.Errorf("basket: route %q has no model", route)
	}
	if multi, ok := m.(interface{ Outputs() int }); ok && multi.Outputs() != 1 {
		return bound{}, fmt.Errorf("basket: %w: route %q: the model gives %d predictions a row: want a model of one price", ErrFeatureMismatch, route, multi.Outputs())
	}
	wanted := m.Features()
	b := bound{name: route, model: m, width: len(wanted), text: describe(m)}
	b.forest, _ = m.(*Forest)
	if slices.Equal(wanted, p.features) {
		return b, nil
	}
	b.from = make([]int, len(wanted))
	for j, name := range wanted {
		b.from[j] = slices.Index(p.features, name)
		if b.from[j] < 0 {
			return bound{}, fmt.Errorf("basket: %w: route %q: the model wants %q, the store has %q: %q is not there (give a model without names its own by WithFeatureNames)", ErrFeatureMismatch, route, wanted, p.features, name)
		}
	}
	return b, nil
}

func describe(m Model) string {
	if s, ok := m.(fmt.Stringer); ok {
		return s.String()
	}
	return fmt.Sprintf("%T", m)
}

// modelError gives an error of a model its kind: one that ran out of time, or
// says itself that it is not there, may be asked again.
func modelError(err error) error {
	switch {
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrPrediction):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("basket: %w: model: %w", ErrUnavailable, err)
	}
	return fmt.Errorf("basket: %w: model: %w", ErrPrediction, err)
}

// predictOne predicts for one row of the store.
func (b *bound) predictOne(ctx context.Context, values []float64) (value float64, err error) {
	if b.forest == nil {
		dst := make([]float64, 1)
		err = b.predict(ctx, dst, b.columns(nil, values))
		value = dst[0]
	} else {
		// The same without an interface to hide from the compiler that neither
		// slice is kept: they stay on the stack.
		var dst [1]float64
		var few [32]float64
		if b.from != nil {
			values = b.columns(few[:0], values)
		}
		err = b.forest.Predict(ctx, dst[:], values)
		value = dst[0]
		if err != nil {
			err = modelError(err)
		}
	}
	if err == nil {
		err = checkValue(value)
	}
	if err != nil {
		return 0, err
	}
	return value, nil
}

// predictAll predicts for the rows of results[mine], in one batch.
func (b *bound) predictAll(ctx context.Context, results []Result, mine []int) {
	if len(mine) == 0 {
		return
	}
	rows := make([]float64, 0, len(mine)*b.width)
	for _, k := range mine {
		rows = b.columns(rows, results[k].Row.Values)
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

// explain attributes one row of the store, in the order of its features. It is
// the one place that asks whether a Model is an Explainer.
func (b *bound) explain(ctx context.Context, values []float64) (contributions []float64, bias float64, err error) {
	m, ok := b.model.(Explainer)
	if !ok {
		return nil, 0, fmt.Errorf("basket: cannot explain: %w: a model of type %T has no Explain", errors.ErrUnsupported, b.model)
	}
	defer func() {
		if r := recover(); r != nil {
			contributions, bias, err = nil, 0, fmt.Errorf("basket: %w: model: %s", ErrPrediction, panicText(r))
		}
	}()
	own := make([]float64, b.width)
	if bias, err = m.Explain(ctx, own, b.columns(nil, values)); err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			return nil, 0, err
		}
		return nil, 0, modelError(err)
	}
	contributions = own
	if b.from != nil {
		contributions = make([]float64, len(values))
		for j, at := range b.from {
			contributions[at] = own[j]
		}
	}
	sum := bias
	for _, c := range contributions {
		sum += c
	}
	return contributions, bias, checkValue(sum)
}

// columns appends the model's columns of a row of the store.
func (b *bound) columns(dst, values []float64) []float64 {
	if b.from == nil {
		return append(dst, values...)
	}
	for _, j := range b.from {
		dst = append(dst, values[j])
	}
	return dst
}

// predict calls a model that may be anyone's.
func (b *bound) predict(ctx context.Context, dst, rows []float64) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("basket: %w: model: %s", ErrPrediction, panicText(r))
		}
	}()
	if err := b.model.Predict(ctx, dst, rows); err != nil {
		return modelError(err)
	}
	return nil
}

func checkValue(v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Errorf("basket: %w: the model's answer is %v: want a finite number", ErrPrediction, v)
	}
	return nil
}

// panicText tells what a panic said and the function that it came from.
func panicText(r any) string {
	var callers [64]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers[:])])
	for panicked := false; ; {
		frame, more := frames.Next()
		if panicked && !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Sprintf("panic: %v (in %s, line %d)", r, frame.Function, frame.Line)
		}
		panicked = panicked || frame.Function == "runtime.gopanic"
		if !more {
			return fmt.Sprintf("panic: %v", r)
		}
	}
}
