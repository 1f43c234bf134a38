package sklearn

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/basket-go/basket/internal/pickle"
)

// A frame is the columns that a step sees.
type frame struct {
	width   int
	columns []column // nil if they are those of the row
}

// column returns the j-th.
func (f frame) column(j int) column {
	if f.columns == nil {
		return column{from: j}
	}
	return f.columns[j]
}

// all returns all columns.
func (f frame) all() []column {
	if f.columns != nil {
		return f.columns
	}
	columns := make([]column, f.width)
	for j := range columns {
		columns[j].from = j
	}
	return columns
}

// then returns c with more operations after its own.
func (r *reader) then(c column, ops ...op) (column, error) {
	if r.ops += 1 + len(c.ops) + len(ops); r.ops > maxOps {
		return c, fmt.Errorf("more than %d operations on columns", maxOps)
	}
	return column{c.from, slices.Concat(c.ops, ops)}, nil
}

// check is the operation that refuses what d does not have.
func check(d domain) op { return op{kind: opCheck, takes: d} }

// dropped keeps the checks of a column that goes no further.
func (r *reader) dropped(c column) {
	if len(c.ops) > 0 {
		r.checks = append(r.checks, c)
	}
}

// pipeline reads steps and a regressor after them: pipeline.py, Pipeline.predict.
func (r *reader) pipeline(e part, p *Pipeline, in frame, depth int) error {
	steps, err := e.list("steps")
	if err != nil {
		return e.in(err)
	}
	for i, v := range steps {
		name, step, err := namedStep(v)
		if err != nil {
			return e.in(err)
		}
		if i == len(steps)-1 {
			last, err := asPart(step)
			if err == nil {
				err = r.regressor(last, p, in, depth+1)
			}
			if err != nil {
				return fmt.Errorf("step %s: %w", name, err)
			}
			return nil
		}
		if in, err = r.step(step, in, depth+1); err != nil {
			return fmt.Errorf("step %s: %w", name, err)
		}
	}
	return e.in(errors.New("no steps"))
}

// step does a step of a Pipeline or ColumnTransformer, which may be a word.
func (r *reader) step(v pickle.Value, in frame, depth int) (frame, error) {
	if v == nil || v == "passthrough" {
		return in, nil
	}
	e, err := asPart(v)
	if err != nil {
		return in, err
	}
	return r.transform(e, in, depth)
}

// transform does what the fitted transformer e does to the columns of in.
func (r *reader) transform(e part, in frame, depth int) (frame, error) {
	if depth > maxNesting {
		return in, fmt.Errorf("steps more than %d deep", maxNesting)
	}
	// Each call costs something, and a small file can ask for many.
	if r.ops++; r.ops > maxOps {
		return in, fmt.Errorf("more than %d operations on columns", maxOps)
	}
	if v, ok := e.Attr("n_features_in_"); ok && v != int64(in.width) {
		return in, e.in(fmt.Errorf("n_features_in_ is %s: the steps before give %d columns", pickle.Kind(v), in.width))
	}
	var out frame
	var err error
	switch e.Name() {
	case "Pipeline":
		steps, err := e.list("steps")
		for i := 0; err == nil && i < len(steps); i++ {
			var step pickle.Value
			if _, step, err = namedStep(steps[i]); err == nil {
				in, err = r.step(step, in, depth+1)
			}
		}
		if err != nil {
			return in, e.in(err)
		}
		return in, nil
	case "StandardScaler", "MinMaxScaler":
		out, err = r.scaler(e, in)
	case "SimpleImputer":
		out, err = r.imputer(e, in)
	case "ColumnTransformer":
		out, err = r.columnTransformer(e, in, depth)
	case "OrdinalEncoder":
		out, err = r.encoder(e, in)
	case "FunctionTransformer":
		out, err = r.function(e, in)
	default:
		err = errors.New("not a transformer that is read")
	}
	if err != nil {
		return in, e.in(err)
	}
	return out, nil
}

// scaler does a StandardScaler or MinMaxScaler.
func (r *reader) scaler(e part, in frame) (frame, error) {
	ops, err := scale(e, in.width)
	if err != nil {
		return in, err
	}
	out := frame{in.width, make([]column, in.width)}
	for j := range out.columns {
		if out.columns[j], err = r.then(in.column(j), ops(j)...); err != nil {
			return in, err
		}
	}
	return out, nil
}

// scale returns the operations of a scaler of n columns on column j:
// preprocessing/_data.py, StandardScaler.transform and MinMaxScaler.transform.
func scale(e part, n int) (func(j int) []op, error) {
	if e.Name() == "MinMaxScaler" {
		return minMax(e, n)
	}
	mean, deviation, err := standard(e, n)
	if err != nil {
		return nil, err
	}
	return func(j int) []op {
		ops := []op{check(noInf)}
		if mean != nil {
			ops = append(ops, op{kind: opSubtract, a: mean[j]})
		}
		if deviation != nil {
			ops = append(ops, op{kind: opDivide, a: deviation[j]})
		}
		return ops
	}, nil
}

// standard returns what a StandardScaler subtracts and divides by, each nil if
// it does not.
func standard(e part, n int) (mean, deviation []float64, err error) {
	for _, s := range []struct {
		flag, name string
		values     *[]float64
	}{{"with_mean", "mean_", &mean}, {"with_std", "scale_", &deviation}} {
		on, err := e.flag(s.flag)
		if err != nil {
			return nil, nil, err
		}
		if on {
			if *s.values, err = e.floats(s.name, n); err != nil {
				return nil, nil, err
			}
		}
	}
	return mean, deviation, nil
}

func minMax(e part, n int) (func(j int) []op, error) {
	scale, err := e.floats("scale_", n)
	if err != nil {
		return nil, err
	}
	low, err := e.floats("min_", n)
	if err != nil {
		return nil, err
	}
	clip := false
	if _, ok := e.Attr("clip"); ok { // from 0.24 on
		if clip, err = e.flag("clip"); err != nil {
			return nil, err
		}
	}
	var bounds [2]float64
	if clip {
		pair, err := e.list("feature_range")
		if err != nil || len(pair) != 2 {
			return nil, fmt.Errorf("feature_range: want two numbers")
		}
		for i := range bounds {
			var ok bool
			if bounds[i], ok = pickle.Number(pair[i]); !ok {
				return nil, fmt.Errorf("feature_range[%d] is %s: want a number", i, pickle.Kind(pair[i]))
			}
		}
	}
	return func(j int) []op {
		ops := []op{check(noInf), {kind: opMultiply, a: scale[j]}, {kind: opAdd, a: low[j]}}
		if clip {
			ops = append(ops, op{kind: opClip, a: bounds[0], b: bounds[1]})
		}
		return ops
	}, nil
}

// imputer does a SimpleImputer: impute/_base.py, SimpleImputer.transform.
func (r *reader) imputer(e part, in frame) (frame, error) {
	v, err := e.get("missing_values")
	if err != nil {
		return in, err
	}
	missing, ok := pickle.Number(v)
	if !ok {
		return in, fmt.Errorf("missing_values is %s: want a number or NaN", pickle.Kind(v))
	}
	takes := finite
	if missing != missing {
		takes = noInf
	}
	statistics, err := e.floats("statistics_", in.width)
	if err != nil {
		return in, err
	}
	keep := false
	if _, ok := e.Attr("keep_empty_features"); ok { // from 1.2 on
		if keep, err = e.flag("keep_empty_features"); err != nil {
			return in, err
		}
	}
	// A constant drops columns from 1.8 on only; before, it may be NaN itself.
	keep = keep || e.is("strategy", "constant") && e.version() < 108
	out := frame{columns: []column{}}
	for j := range in.width {
		if math.IsNaN(statistics[j]) && !keep {
			c, err := r.then(in.column(j), check(takes))
			if err != nil {
				return in, err
			}
			r.dropped(c)
			continue
		}
		c, err := r.then(in.column(j), check(takes), op{kind: opFill, a: missing, b: statistics[j]})
		if err != nil {
			return in, err
		}
		out.columns = append(out.columns, c)
	}
	if indicate, err := e.flag("add_indicator"); err != nil {
		return in, err
	} else if indicate {
		if err := r.indicators(e, in, &out, missing); err != nil {
			return in, fmt.Errorf("indicator_: %w", err)
		}
	}
	out.width = len(out.columns)
	return out, nil
}

// indicators appends a column of 0 and 1 for each feature that the fitted
// MissingIndicator tells of.
func (r *reader) indicators(e part, in frame, out *frame, missing float64) error {
	indicator, err := e.object("indicator_")
	if err != nil {
		return err
	}
	a, err := indicator.array("features_")
	if err != nil {
		return err
	}
	if a.Len() > in.width {
		return fmt.Errorf("features_: %d of %d features", a.Len(), in.width)
	}
	features, err := a.Floats()
	if err != nil {
		return fmt.Errorf("features_: %w", err)
	}
	for _, f := range features {
		j, err := index(f, in.width)
		if err != nil {
			return fmt.Errorf("features_: %w", err)
		}
		c, err := r.then(in.column(j), op{kind: opIndicator, a: missing})
		if err != nil {
			return err
		}
		out.columns = append(out.columns, c)
	}
	return nil
}

// index makes an index below n of a number.
func index(f float64, n int) (int, error) {
	if !(f >= 0 && f < float64(n)) || f != math.Trunc(f) {
		return 0, fmt.Errorf("column %v: want 0 to %d", f, n-1)
	}
	return int(f), nil
}

// function does a FunctionTransformer with one of numpy's functions, with none,
// or with the check that HistGradientBoostingRegressor makes of numbers:
// preprocessing/_function_transformer.py.
func (r *reader) function(e part, in frame) (frame, error) {
	ops, err := functionOps(e, "func", "kw_args")
	if err != nil {
		return in, err
	}
	if len(ops) == 0 {
		return in, nil
	}
	out := frame{in.width, make([]column, in.width)}
	for j := range out.columns {
		if out.columns[j], err = r.then(in.column(j), ops...); err != nil {
			return in, err
		}
	}
	return out, nil
}

// functionOps are the operations that the attribute name stands for.
func functionOps(e part, name, args string) ([]op, error) {
	v, err := e.get(name)
	if err != nil {
		return nil, err
	}
	var ops []op
	validate, err := e.flag("validate")
	if err != nil {
		return nil, err
	}
	if validate {
		ops = append(ops, check(finite))
	}
	if v, ok := e.Attr(args); ok && v != nil {
		if d, ok := v.(*pickle.Dict); !ok || len(d.Keys) > 0 {
			return nil, fmt.Errorf("%s is %s: want none", args, pickle.Kind(v))
		}
	}
	switch f := v.(type) {
	case nil:
		return ops, nil
	case pickle.Global:
		if kind, ok := functions[string(f)]; ok {
			return append(ops, op{kind: kind}), nil
		}
	case *pickle.Object:
		if f.Class == "functools.partial" && len(f.Args) == 1 && f.Args[0] == pickle.Global("sklearn.utils.validation.check_array") {
			return ops, nil // with ensure_all_finite=False: it only makes float64 of its input
		}
	}
	return nil, fmt.Errorf("%s is %s: want log1p, expm1, log, exp, sqrt or square of numpy, or none", name, pickle.Kind(v))
}
