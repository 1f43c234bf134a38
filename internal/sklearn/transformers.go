package sklearn

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/basket-go/basket/internal/filetext"
	"github.com/basket-go/basket/internal/pickle"
)

// A frame is the input columns of a step.
type frame struct {
	width   int
	columns []column // nil if they are those of the row
}

func (f frame) column(j int) column {
	if f.columns == nil {
		return column{from: j}
	}
	return f.columns[j]
}

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

// count adds n to the number of operations, which bounds time and memory: a small
// file can ask for many.
func (r *reader) count(n int) error {
	if r.ops += n; r.ops > maxOps {
		return fmt.Errorf("more than %d operations", maxOps)
	}
	return nil
}

// apply returns c followed by ops.
func (r *reader) apply(c column, ops ...op) (column, error) {
	return column{c.from, slices.Concat(c.ops, ops)}, r.count(1 + len(c.ops) + len(ops))
}

// applyAll returns in with each column j followed by ops(j).
func (r *reader) applyAll(in frame, ops func(j int) []op) (frame, error) {
	out := frame{in.width, make([]column, 0, min(in.width, maxOps))}
	for j := range in.width {
		c, err := r.apply(in.column(j), ops(j)...)
		if err != nil {
			return in, err
		}
		out.columns = append(out.columns, c)
	}
	return out, nil
}

// check returns the operation that refuses values outside of d.
func check(d domain) op { return op{kind: opCheck, domain: d} }

// drop keeps the checks of a column that the model does not use.
func (r *reader) drop(c column) {
	if len(c.ops) > 0 {
		r.checks = append(r.checks, c)
	}
}

// namedStep returns the name, quoted for errors, and the estimator of a step.
func namedStep(v pickle.Value) (string, pickle.Value, error) {
	pair, ok := asList(v)
	if !ok || len(pair) != 2 {
		return "", nil, fmt.Errorf("a step is %s: want a name and an estimator", pickle.Kind(v))
	}
	name, ok := pair[0].(string)
	if !ok {
		return "", nil, fmt.Errorf("the name of a step is %s: want a string", pickle.Kind(pair[0]))
	}
	return filetext.Quote(name), pair[1], nil
}

// pipeline reads a Pipeline that ends with a regressor: pipeline.py,
// Pipeline.predict.
func (r *reader) pipeline(e object, p *Pipeline, in frame, depth int) error {
	steps, err := e.list("steps")
	if err != nil {
		return e.wrap(err)
	}
	for i, v := range steps {
		name, step, err := namedStep(v)
		if err != nil {
			return e.wrap(err)
		}
		if i == len(steps)-1 {
			last, err := asObject(step)
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
	return e.wrap(errors.New("no steps"))
}

// step reads a step of a Pipeline or ColumnTransformer and returns its output.
func (r *reader) step(v pickle.Value, in frame, depth int) (frame, error) {
	if v == nil || v == "passthrough" {
		return in, nil
	}
	e, err := asObject(v)
	if err != nil {
		return in, err
	}
	return r.transform(e, in, depth)
}

// transform reads the fitted transformer e and returns its output for in.
func (r *reader) transform(e object, in frame, depth int) (frame, error) {
	if depth > maxNesting {
		return in, fmt.Errorf("steps nested more than %d deep", maxNesting)
	}
	if err := r.count(1); err != nil {
		return in, err
	}
	if v, ok := e.Attr("n_features_in_"); ok && v != int64(in.width) {
		return in, e.wrap(fmt.Errorf("n_features_in_ is %s: the input has %d columns", pickle.Kind(v), in.width))
	}
	out := in
	var err error
	switch e.Name() {
	case "Pipeline":
		var steps []pickle.Value
		steps, err = e.list("steps")
		for i := 0; err == nil && i < len(steps); i++ {
			var step pickle.Value
			if _, step, err = namedStep(steps[i]); err == nil {
				out, err = r.step(step, out, depth+1)
			}
		}
	case "StandardScaler":
		out, err = r.standardScaler(e, in)
	case "MinMaxScaler":
		out, err = r.minMaxScaler(e, in)
	case "SimpleImputer":
		out, err = r.imputer(e, in)
	case "ColumnTransformer":
		out, err = r.columnTransformer(e, in, depth)
	case "OrdinalEncoder":
		out, err = r.encoder(e, in)
	case "FunctionTransformer":
		out, err = r.function(e, in)
	default:
		err = errors.New("this transformer is not supported")
	}
	if err != nil {
		return in, e.wrap(err)
	}
	return out, nil
}

// standardScaler follows preprocessing/_data.py, StandardScaler.transform.
func (r *reader) standardScaler(e object, in frame) (frame, error) {
	mean, deviation, err := meanAndDeviation(e, in.width)
	if err != nil {
		return in, err
	}
	return r.applyAll(in, func(j int) []op {
		ops := []op{check(noInf)}
		if mean != nil {
			ops = append(ops, op{kind: opSubtract, a: mean[j]})
		}
		if deviation != nil {
			ops = append(ops, op{kind: opDivide, a: deviation[j]})
		}
		return ops
	})
}

// meanAndDeviation returns what a StandardScaler subtracts and divides by; nil if it
// does not.
func meanAndDeviation(e object, n int) (mean, deviation []float64, err error) {
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

// minMaxScaler follows preprocessing/_data.py, MinMaxScaler.transform.
func (r *reader) minMaxScaler(e object, in frame) (frame, error) {
	scale, err := e.floats("scale_", in.width)
	if err != nil {
		return in, err
	}
	low, err := e.floats("min_", in.width)
	if err != nil {
		return in, err
	}
	clip := false
	if _, ok := e.Attr("clip"); ok { // from 0.24 on
		if clip, err = e.flag("clip"); err != nil {
			return in, err
		}
	}
	var bounds [2]float64
	if clip {
		pair, err := e.list("feature_range")
		if err != nil || len(pair) != 2 {
			return in, errors.New("feature_range: want two numbers")
		}
		for i := range bounds {
			var ok bool
			if bounds[i], ok = pickle.Number(pair[i]); !ok {
				return in, fmt.Errorf("feature_range[%d] is %s: want a number", i, pickle.Kind(pair[i]))
			}
		}
	}
	return r.applyAll(in, func(j int) []op {
		ops := []op{check(noInf), {kind: opMultiply, a: scale[j]}, {kind: opAdd, a: low[j]}}
		if clip {
			ops = append(ops, op{kind: opClip, a: bounds[0], b: bounds[1]})
		}
		return ops
	})
}

// imputer follows impute/_base.py, SimpleImputer.transform.
func (r *reader) imputer(e object, in frame) (frame, error) {
	v, err := e.get("missing_values")
	if err != nil {
		return in, err
	}
	missing, ok := pickle.Number(v)
	if !ok {
		return in, fmt.Errorf("missing_values is %s: want a number or NaN", pickle.Kind(v))
	}
	accepted := finite
	if missing != missing {
		accepted = noInf
	}
	statistics, err := e.floats("statistics_", in.width)
	if err != nil {
		return in, err
	}
	if v, ok := e.Attr("_fill_dtype"); ok { // from 1.8 on, the type of the training data
		dtype, ok := v.(*pickle.Dtype)
		switch {
		case !ok || dtype.Kind == 'f' && dtype.Size < 4:
			return in, fmt.Errorf("_fill_dtype is %s: want a dtype of at least 32 bits", pickle.Kind(v))
		case dtype.Kind == 'f' && dtype.Size == 4:
			for j, s := range statistics {
				statistics[j] = float64(float32(s))
			}
		}
	}
	keep := false
	if _, ok := e.Attr("keep_empty_features"); ok { // from 1.2 on
		if keep, err = e.flag("keep_empty_features"); err != nil {
			return in, err
		}
	}
	// Before 1.8 the strategy "constant" drops no columns, and the constant may be NaN.
	keep = keep || e.is("strategy", "constant") && e.version() < 108
	out := frame{columns: []column{}}
	for j := range in.width {
		if math.IsNaN(statistics[j]) && !keep {
			c, err := r.apply(in.column(j), check(accepted))
			if err != nil {
				return in, err
			}
			r.drop(c)
			continue
		}
		c, err := r.apply(in.column(j), check(accepted), op{kind: opFill, a: missing, b: statistics[j]})
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

// indicators appends a column of 0 and 1 for each feature of the imputer's fitted
// MissingIndicator.
func (r *reader) indicators(e object, in frame, out *frame, missing float64) error {
	indicator, err := e.object("indicator_")
	if err != nil {
		return err
	}
	a, err := indicator.array("features_")
	if err != nil {
		return err
	}
	if a.Len() > in.width {
		return fmt.Errorf("features_: %d items: want at most %d", a.Len(), in.width)
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
		c, err := r.apply(in.column(j), op{kind: opIndicator, a: missing})
		if err != nil {
			return err
		}
		out.columns = append(out.columns, c)
	}
	return nil
}

// index converts a number to a column index below n.
func index(f float64, n int) (int, error) {
	if !(f >= 0 && f < float64(n)) || f != math.Trunc(f) {
		return 0, fmt.Errorf("column %v: want 0 to %d", f, n-1)
	}
	return int(f), nil
}

// encoder reads an OrdinalEncoder with the parameters that
// HistGradientBoostingRegressor gives it: a known category is replaced by its index,
// all others by NaN.
func (r *reader) encoder(e object, in frame) (frame, error) {
	unknown, err := e.float("unknown_value")
	if err != nil || !math.IsNaN(unknown) || !e.is("handle_unknown", "use_encoded_value") {
		return in, errors.New("want handle_unknown=\"use_encoded_value\" and unknown_value=nan")
	}
	if missing, err := e.float("encoded_missing_value"); err != nil || !math.IsNaN(missing) {
		return in, errors.New("want encoded_missing_value=nan")
	}
	if v, ok := e.Attr("_infrequent_enabled"); ok && v != false {
		return in, errors.New("infrequent categories are not supported")
	}
	lists, err := e.list("categories_")
	if err != nil {
		return in, err
	}
	if len(lists) != in.width {
		return in, fmt.Errorf("categories_: %d lists for %d columns", len(lists), in.width)
	}
	tables := make([][]float64, in.width)
	for j, v := range lists {
		if tables[j], err = r.categories(v); err != nil {
			return in, fmt.Errorf("categories_[%d]: %w", j, err)
		}
	}
	return r.applyAll(in, func(j int) []op { return []op{check(noInf), {kind: opEncode, table: tables[j]}} })
}

// categories returns the known categories of a column without NaN, in ascending order.
func (r *reader) categories(v pickle.Value) ([]float64, error) {
	a, ok := v.(*pickle.Array)
	if !ok {
		return nil, fmt.Errorf("%s: want an array", pickle.Kind(v))
	}
	if err := r.count(a.Len() / 4); err != nil {
		return nil, err
	}
	table, err := a.Floats()
	if err != nil {
		return nil, err
	}
	if n := len(table); n > 0 && math.IsNaN(table[n-1]) {
		table = table[:n-1]
	}
	for i, v := range table {
		if v != v || i > 0 && v <= table[i-1] {
			return nil, fmt.Errorf("item %d is %v: want ascending numbers", i, v)
		}
	}
	return table, nil
}

// function reads a FunctionTransformer of a numpy function, of none, or of the check
// of numbers that HistGradientBoostingRegressor makes:
// preprocessing/_function_transformer.py.
func (r *reader) function(e object, in frame) (frame, error) {
	ops, err := functionOps(e, "func", "kw_args")
	if err != nil || len(ops) == 0 {
		return in, err
	}
	return r.applyAll(in, func(int) []op { return ops })
}

// functionOps returns the operations of the function in attribute name.
func functionOps(e object, name, args string) ([]op, error) {
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
			return ops, nil // with ensure_all_finite=False: it only converts its input to float64
		}
	}
	return nil, fmt.Errorf("%s is %s: want log1p, expm1, log, exp, sqrt or square of numpy, or none", name, pickle.Kind(v))
}
