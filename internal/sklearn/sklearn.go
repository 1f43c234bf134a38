// Package sklearn reads regressors of scikit-learn, saved with joblib or pickle:
// trees, forests, gradient boosting, linear models, and pipelines of the usual
// steps before them.
//
// The rules are those of scikit-learn 1.3 to 1.9; where they changed, the file
// tells which release wrote it. Package pickle reads the file, and runs none of
// it. What follows is a walk over records whose every attribute is checked:
//
//	bytes -- pickle.Read --> objects -- regressor, transform --> Pipeline
//	                                       |
//	                                       +-- trees, hist --> forest.Model
//
// Forests and boosting predict to the bit what scikit-learn predicts with one
// thread. Linear models, whose sums BLAS adds in an order of its own, and exp, log
// and their like, for which numpy has code of its own for each CPU, agree to a few
// ulps of the largest summand.
package sklearn

import (
	"errors"
	"fmt"

	"github.com/basket-go/basket/internal/forest"
	"github.com/basket-go/basket/internal/pickle"
)

// Limits, far above any real model.
const (
	maxNesting = 16      // of pipelines and other steps within each other
	maxOps     = 1 << 18 // operations on columns, in all
)

// A File is what a model file tells.
type File struct {
	Version   string   // of the scikit-learn that wrote it, "1.9.1" say; empty if the file does not tell
	Estimator string   // "RandomForestRegressor", say
	Names     []string // of the features; nil if the model was not fitted on a table with names

	Pipeline *Pipeline // predicts

	// Forest is the model if it is a forest that sees rows as they are, and whose
	// answer is the prediction; else nil. It refuses no row, which the Pipeline
	// does.
	Forest *forest.Forest
}

// Options choose among the ways to read a file.
type Options struct {
	// Margin leaves out the link of a loss, so that predictions are margins. What
	// a TransformedTargetRegressor does is not a link and stays.
	Margin bool
}

// Is reports whether data looks like a pickle or a compressed joblib file.
func Is(data []byte) bool { return pickle.Is(data) }

// Read reads a model.
func Read(data []byte, opt Options) (*File, error) {
	v, err := pickle.Read(data, globals)
	if err != nil {
		return nil, err
	}
	model, err := asPart(v)
	if err != nil {
		return nil, fmt.Errorf("the file holds %w", err)
	}
	file := &File{Estimator: model.Name()}
	file.Version, _ = model.text("_sklearn_version")
	features, names, err := inputs(model, 0)
	if err != nil {
		return nil, err
	}
	r := &reader{opt: opt, seen: map[*pickle.Array]bool{}}
	p := &Pipeline{features: features}
	if err := r.regressor(model, p, frame{width: features}, 0); err != nil {
		return nil, err
	}
	p.checks = r.checks
	if p.columns == nil && p.checks != nil {
		p.columns = frame{width: features}.all()
	}
	file.Pipeline, file.Names = p, names
	if p.columns == nil && p.target == nil {
		file.Forest = p.forest
	}
	return file, nil
}

// inputs finds the number of features of a fitted estimator, and their names if
// it has them. A Pipeline has those of its first step that knows.
func inputs(p part, depth int) (int, []string, error) {
	switch {
	case depth > maxNesting:
		return 0, nil, fmt.Errorf("steps more than %d deep", maxNesting)
	case p.Name() == "TransformedTargetRegressor":
		regressor, err := p.object("regressor_")
		if err != nil {
			return 0, nil, p.in(err)
		}
		return inputs(regressor, depth+1)
	case p.Name() == "Pipeline":
		steps, err := p.list("steps")
		if err != nil {
			return 0, nil, p.in(err)
		}
		for _, v := range steps {
			if _, step, err := namedStep(v); err == nil {
				if o, err := asPart(step); err == nil {
					return inputs(o, depth+1)
				}
			}
		}
		return 0, nil, p.in(errors.New("no steps"))
	}
	n, err := p.number("n_features_in_", 1, forest.MaxFeatures)
	if err != nil {
		return 0, nil, p.in(err)
	}
	if v, ok := p.Attr("feature_names_in_"); !ok || v == nil {
		return n, nil, nil
	}
	a, err := p.array("feature_names_in_")
	if err != nil {
		return 0, nil, p.in(err)
	}
	names, err := a.Texts()
	switch {
	case err != nil:
		return 0, nil, p.in(fmt.Errorf("feature_names_in_: %w", err))
	case len(names) != n:
		return 0, nil, p.in(fmt.Errorf("feature_names_in_: %d names: want n_features_in_ = %d", len(names), n))
	}
	return n, names, nil
}

// namedStep takes a step of a Pipeline apart: its name and itself.
func namedStep(v pickle.Value) (string, pickle.Value, error) {
	pair, ok := asList(v)
	if !ok || len(pair) != 2 {
		return "", nil, fmt.Errorf("a step is %s: want a name and an estimator", pickle.Kind(v))
	}
	name, ok := pair[0].(string)
	if !ok {
		return "", nil, fmt.Errorf("a step is called %s", pickle.Kind(pair[0]))
	}
	return name, pair[1], nil
}

// A reader makes a Pipeline of parts.
type reader struct {
	opt    Options
	seen   map[*pickle.Array]bool // what became nodes already
	ops    int                    // operations made so far
	checks []column
}

// regressor sets the model of p to the fitted regressor e, which sees in.
func (r *reader) regressor(e part, p *Pipeline, in frame, depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("steps more than %d deep", maxNesting)
	}
	name := e.Name()
	switch name {
	case "Pipeline":
		return r.pipeline(e, p, in, depth)
	case "TransformedTargetRegressor":
		return r.transformedTarget(e, p, in, depth)
	}
	n, err := e.number("n_features_in_", 1, forest.MaxFeatures)
	if err == nil && n != in.width {
		err = fmt.Errorf("n_features_in_ is %d: the steps before give %d columns", n, in.width)
	}
	if err == nil {
		switch name {
		case "DecisionTreeRegressor", "ExtraTreeRegressor":
			err = r.tree(e, p, n)
		case "RandomForestRegressor", "ExtraTreesRegressor":
			err = r.forest(e, p, n)
		case "GradientBoostingRegressor":
			err = r.boosting(e, p, n)
		case "HistGradientBoostingRegressor":
			in, err = r.hist(e, p, in, depth)
		case "LinearRegression", "Ridge", "Lasso", "ElasticNet":
			err = r.linear(e, p, n)
		default:
			err = errors.New("not a regressor that is read")
		}
	}
	if err != nil {
		return e.in(err)
	}
	p.columns = in.columns
	return nil
}

// linear reads a linear model: linear_model/_base.py, LinearModel.
func (r *reader) linear(e part, p *Pipeline, features int) error {
	coef, err := e.array("coef_")
	if err != nil {
		return err
	}
	if coef.Len() != features {
		return fmt.Errorf("coef_: shape %v: want %d items; models of several outputs are not read", coef.Shape, features)
	}
	if p.coef, err = e.floats("coef_", features); err != nil {
		return err
	}
	if p.intercept, err = e.float("intercept_"); err != nil {
		return err
	}
	p.takes = finite
	return nil
}
