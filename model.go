package basket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/basket-go/basket/internal/lightgbm"
	"github.com/basket-go/basket/internal/sklearn"
	"github.com/basket-go/basket/internal/xgboost"
)

// A Model maps feature rows to predictions. It must be safe for concurrent use.
//
// A [Predictor] looks for three optional methods. Outputs() int is the number of
// predictions per row, 1 if the method is missing; it serves only models of one.
// String() string is recorded in [Prediction].Model, else the name of the type
// is; it should differ between versions of a model. Explain makes the model an
// [Explainer].
type Model interface {
	// Features names the columns of the rows that Predict reads, in order. It
	// always returns the same names.
	Features() []string

	// Predict sets dst[i] to the prediction for the i-th row of rows, which is
	// row-major and len(dst)*len(Features()) long. It modifies only dst and keeps
	// neither slice. NaN is a missing value. Predict returns soon after ctx is
	// done, with an error that wraps ctx.Err(). Errors that wrap ErrUnavailable
	// may be retried.
	Predict(ctx context.Context, dst, rows []float64) error
}

// An Explainer is a Model that can attribute a prediction to its features.
type Explainer interface {
	Model

	// Explain sets dst to one SHAP contribution per feature of row. The bias plus
	// their sum is the margin: the score before the model's link function. A
	// model that cannot explain any row returns an error that wraps
	// errors.ErrUnsupported.
	Explain(ctx context.Context, dst, row []float64) (bias float64, err error)
}

// maxModelBytes is the size of the largest model that ReadModel reads.
const maxModelBytes = 1 << 30

// ReadModel reads a model; its format is recognised by the content: LightGBM's
// text of versions 2 to 4; XGBoost's JSON, UBJSON or deprecated binary format of
// versions 0.90 to 3; scikit-learn's regressors of versions 1.2 to 1.9, saved by
// joblib, compressed or not, or by pickle. Nothing in r is executed.
//
// If the file has no feature names, or only generated ones (Column_0, ...), the
// features are named by WithFeatureNames, else by [FeatureNames] if the model has
// as many columns, else as the library generates names; [ModelInfo].NamesFrom
// says which. Errors about the content wrap ErrModelFormat, or
// ErrFeatureMismatch if feature names do not fit. An ID that cannot be used is an
// ErrInvalidConfig. Others are those of r.
func ReadModel(r io.Reader, opts ...ModelOption) (*FileModel, error) {
	m, err := readModel(r, opts)
	if err != nil {
		return nil, fmt.Errorf("basket: %w", err)
	}
	return m, nil
}

// LoadModel is ReadModel for the file at path.
func LoadModel(path string, opts ...ModelOption) (*FileModel, error) {
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

func readModel(r io.Reader, opts []ModelOption) (*FileModel, error) {
	var c modelConfig
	for _, o := range opts {
		o(&c)
	}
	if !utf8.ValidString(c.id) || strings.ContainsFunc(c.id, unicode.IsControl) {
		return nil, fmt.Errorf("%w: model ID %.64q: want UTF-8 without control characters", ErrInvalidConfig, c.id)
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
	m.info.ID, m.info.Margin = c.id, c.margin
	if err := m.finish(data, c.names); err != nil {
		return nil, err
	}
	return m, nil
}

// readFormat recognises the format by the first bytes and calls its reader.
// Nothing but the names of the format is known afterwards.
func readFormat(data []byte, c *modelConfig) (m *FileModel, err error) {
	// The readers are fuzzed, but a model file must not end the process even if
	// one has a defect.
	defer func() {
		if r := recover(); r != nil {
			m, err = nil, fmt.Errorf("defect of the reader: %s", panicText(r))
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
		return &FileModel{
			evaluator: file.Forest, trees: file.Forest, names: file.Names, generated: "Column_",
			info: ModelInfo{Library: "lightgbm", Format: "text", Version: file.Version, Objective: file.Objective},
		}, nil
	case xgboost.Is(data):
		file, err := xgboost.Read(data, xgboost.Options{Margin: c.margin, BestIteration: c.bestIteration})
		if err != nil {
			return nil, fmt.Errorf("xgboost: %w", err)
		}
		m := &FileModel{
			evaluator: file.Forest, trees: file.Forest, names: file.Names, generated: "f",
			info: ModelInfo{Library: "xgboost", Format: file.Format, Version: file.Version, Objective: file.Objective},
		}
		if file.Linear != nil {
			m.evaluator = file.Linear
		}
		return m, nil
	case sklearn.Is(data):
		file, err := sklearn.Read(data, sklearn.Options{Margin: c.margin})
		if err != nil {
			return nil, fmt.Errorf("scikit-learn: %w", err)
		}
		return &FileModel{
			evaluator: file.Pipeline, trees: file.Pipeline.Forest(), names: file.Names, generated: "x",
			info: ModelInfo{Library: "scikit-learn", Format: "pickle", Version: file.Version, Estimator: file.Estimator},
		}, nil
	}
	return nil, fmt.Errorf("unknown format, starting with %q: want LightGBM's text, XGBoost's JSON, UBJSON or binary format, or scikit-learn's joblib or pickle", data[:min(len(data), 16)])
}
