package basket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/basket-go/basket/internal/lightgbm"
	"github.com/basket-go/basket/internal/sklearn"
	"github.com/basket-go/basket/internal/xgboost"
)

// A Model turns feature rows into predictions. Safe for concurrent use.
type Model interface {
	// Features names the columns that Predict wants, in order. It never changes.
	Features() []string

	// Predict sets dst[i] to the prediction for the i-th row of rows, which is
	// row-major and len(dst)*len(Features()) long. It keeps neither slice.
	Predict(ctx context.Context, dst, rows []float64) error
}

// An Explainer is a Model that can attribute a prediction to its features.
type Explainer interface {
	Model

	// Explain sets dst to one SHAP contribution per feature of row. Bias plus
	// their sum is the margin: the score before the model's link function. A
	// model of which no row can be explained gives an error that wraps
	// errors.ErrUnsupported.
	Explain(ctx context.Context, dst, row []float64) (bias float64, err error)
}

// A ModelInfo describes a model that was read from a file.
type ModelInfo struct {
	Format    string // "lightgbm", say
	Version   string // of the format or of the library that wrote the file; "v4"
	Objective string // as the file has it; empty if it has none; scikit-learn's class
	Trees     int
	Leaves    int // of all trees
	Depth     int // splits on the longest way to a leaf
	Features  int // columns of a row
	Outputs   int // predictions a row
	Engine    string
	Digest    string // "sha256:" and the file's digest in hexadecimal
}

// A ModelOption says how to read a model.
type ModelOption func(*modelConfig)

type modelConfig struct {
	names         []string
	margin        bool
	bestIteration bool
}

// WithFeatureNames stands in for feature names that a model lacks; if it has
// them, they must agree.
func WithFeatureNames(names ...string) ModelOption {
	return func(c *modelConfig) { c.names = slices.Clone(names) }
}

// WithMargin leaves out the model's link function: predictions are margins. It
// also reads models whose objective, and so whose link, is unknown.
func WithMargin() ModelOption {
	return func(c *modelConfig) { c.margin = true }
}

// WithBestIteration uses the rounds of an XGBoost model up to the best one, if
// it was trained with early stopping: the rule of XGBoost's scikit-learn classes.
// Without it all trees are used, the rule of XGBoost's Booster.
func WithBestIteration() ModelOption {
	return func(c *modelConfig) { c.bestIteration = true }
}

// maxModelBytes is the largest model that ReadModel takes.
const maxModelBytes = 1 << 30

// ReadModel reads a model, whose format it tells by the content: LightGBM's
// text of versions 2 to 4; XGBoost's JSON, UBJSON or deprecated binary format of
// versions 0.90 to 3; scikit-learn's regressors of versions 1.2 to 1.9, by joblib,
// compressed or not, or pickle. Nothing in r is ever executed. The answer is a *Forest for
// tree ensembles and a *Pipeline for all else. A model whose feature
// names the library made up (Column_0, Column_1, ...) takes those of
// WithFeatureNames, else FeatureNames() if it has as many columns, else keeps
// them. Errors wrap ErrModelFormat, or ErrFeatureMismatch if the names do not
// fit, or are those of r.
func ReadModel(r io.Reader, opts ...ModelOption) (Model, error) {
	m, err := readModel(r, opts)
	if err != nil {
		return nil, fmt.Errorf("basket: %w", err)
	}
	return m, nil
}

// LoadModel is ReadModel for the file at path.
func LoadModel(path string, opts ...ModelOption) (Model, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("basket: %w", err)
	}
	defer file.Close()
	m, err := readModel(file, opts)
	if err != nil {
		return nil, fmt.Errorf("basket: %s: %w", path, err)
	}
	return m, nil
}

func readModel(r io.Reader, opts []ModelOption) (Model, error) {
	var c modelConfig
	for _, o := range opts {
		o(&c)
	}
	data, err := io.ReadAll(io.LimitReader(r, maxModelBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading a model: %w", err)
	}
	if len(data) > maxModelBytes {
		return nil, fmt.Errorf("%w: over %d bytes", ErrModelFormat, maxModelBytes)
	}
	m, err := readFormat(data, &c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModelFormat, err)
	}
	if err := m.setNames(c.names); err != nil {
		return nil, err
	}
	m.describe(data)
	if m.isForest {
		return &Forest{*m}, nil
	}
	return &Pipeline{*m}, nil
}

// readFormat tells the format by the first bytes, and has it read. Nothing of
// the format but its name is known afterwards.
func readFormat(data []byte, c *modelConfig) (m *fileModel, err error) {
	// Readers are fuzzed; should one have a defect all the same, a model file must
	// not end the process.
	defer func() {
		if r := recover(); r != nil {
			m, err = nil, fmt.Errorf("the reader failed, which is a defect of it: %s", panicText(r))
		}
	}()
	switch {
	case len(data) == 0:
		return nil, errors.New("the file is empty")
	case lightgbm.Is(data):
		file, err := lightgbm.Read(data, lightgbm.Options{Margin: c.margin})
		if err != nil {
			return nil, fmt.Errorf("lightgbm: %w", err)
		}
		return &fileModel{
			forest: file.Forest, isForest: true, names: file.Names, madeUp: "Column_",
			info: ModelInfo{Format: "lightgbm", Version: file.Version, Objective: file.Objective},
		}, nil
	case xgboost.Is(data):
		file, err := xgboost.Read(data, xgboost.Options{Margin: c.margin, BestIteration: c.bestIteration})
		if err != nil {
			return nil, fmt.Errorf("xgboost: %w", err)
		}
		return &fileModel{
			forest: file.Forest, linear: file.Linear, isForest: file.Forest != nil, names: file.Names, madeUp: "f",
			info: ModelInfo{Format: "xgboost " + file.Format, Version: file.Version, Objective: file.Objective},
		}, nil
	case sklearn.Is(data):
		file, err := sklearn.Read(data, sklearn.Options{Margin: c.margin})
		if err != nil {
			return nil, fmt.Errorf("scikit-learn: %w", err)
		}
		return &fileModel{
			pipeline: file.Pipeline, isForest: file.Forest != nil, names: file.Names, madeUp: "x",
			info: ModelInfo{Format: "scikit-learn", Version: file.Version, Objective: file.Estimator},
		}, nil
	}
	return nil, fmt.Errorf("unknown format, starting with %q: want LightGBM's text, XGBoost's JSON, UBJSON or binary format, or scikit-learn's joblib or pickle", data[:min(len(data), 16)])
}
