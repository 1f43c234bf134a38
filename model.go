package basket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/basket-go/basket/internal/forest"
	"github.com/basket-go/basket/internal/lightgbm"
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
	Objective string // as the file has it; empty if it has none
	Trees     int
	Leaves    int // of all trees
	Depth     int // splits on the longest way to a leaf
	Features  int // columns of a row
	Outputs   int // predictions a row
	Engine    string
	Digest    string // "sha256:" and the file's digest in hexadecimal
}

// A Forest is a tree ensemble read by this package. It is immutable and safe
// for concurrent use.
type Forest struct {
	forest *forest.Forest
	names  []string
	info   ModelInfo
}

// Features returns the names of the columns that Predict wants, in order. A
// file that has none gives names such as Column_0.
func (f *Forest) Features() []string { return slices.Clone(f.names) }

// Outputs is the number of predictions a row: 1, but for multi-class models.
func (f *Forest) Outputs() int { return f.info.Outputs }

// Margins is the number of sums before the link: Outputs, but for models that
// predict the number of a class.
func (f *Forest) Margins() int { return f.forest.Margins() }

// Info describes the model.
func (f *Forest) Info() ModelInfo { return f.info }

// String tells the format, the size and the digest: "lightgbm v4, 100 trees,
// sha256:1f0c...".
func (f *Forest) String() string {
	return fmt.Sprintf("%s, %d trees, %.18s", strings.TrimSpace(f.info.Format+" "+f.info.Version), f.info.Trees, f.info.Digest)
}

// Predict sets dst to the predictions for rows, Outputs a row. It allocates
// nothing for models of up to eight outputs.
func (f *Forest) Predict(ctx context.Context, dst, rows []float64) error {
	return f.each(ctx, dst, rows, f.info.Outputs, predictions)
}

// Margin sets dst to the margins of rows, Margins a row: the library's raw
// scores, before the link function.
func (f *Forest) Margin(ctx context.Context, dst, rows []float64) error {
	return f.each(ctx, dst, rows, f.forest.Margins(), margins)
}

// Link sets dst to the predictions that margins stand for: Predict is Margin and
// then Link. It is for engines that find the margins in another way. It uses
// margins as scratch, and dst may be the same slice.
func (f *Forest) Link(dst, margins []float64) error {
	in, out := f.forest.Margins(), f.info.Outputs
	if n := len(margins) / in; n*in != len(margins) || n*out != len(dst) {
		return fmt.Errorf("basket: %d margins and room for %d predictions: want %d margins and %d predictions a row", len(margins), len(dst), in, out)
	}
	f.forest.Finish(dst, margins)
	return nil
}

// What each computes. A function value would do, but would let dst and rows
// escape to the heap.
const (
	predictions = iota
	margins
)

// each computes blocks of rows, between which it looks at ctx.
func (f *Forest) each(ctx context.Context, dst, rows []float64, width, what int) error {
	const block = 1024
	columns := len(f.names)
	n := len(rows) / columns
	if n*columns != len(rows) || n*width != len(dst) {
		return fmt.Errorf("basket: %d values and room for %d predictions: want %d values and %d predictions a row", len(rows), len(dst), columns, width)
	}
	for i := 0; i < n; i += block {
		if err := ctx.Err(); err != nil {
			return err
		}
		end := min(i+block, n)
		d, r := dst[i*width:end*width], rows[i*columns:end*columns]
		if what == margins {
			f.forest.Margin(d, r)
		} else {
			f.forest.Predict(d, r)
		}
	}
	return nil
}

// Explain sets dst to one SHAP contribution per feature of row, by the exact
// path-dependent TreeSHAP, and returns the bias. Models of several margins or
// with linear leaves, and files that do not tell how many training rows went
// through each node, are errors.ErrUnsupported.
func (f *Forest) Explain(ctx context.Context, dst, row []float64) (bias float64, err error) {
	bias, err = f.forest.Explain(ctx, dst, row)
	switch {
	case err == nil:
		return bias, nil
	case ctx.Err() != nil:
		return 0, ctx.Err()
	}
	return 0, fmt.Errorf("basket: cannot explain: %w: %w", errors.ErrUnsupported, err)
}

// A ModelOption says how to read a model.
type ModelOption func(*modelConfig)

type modelConfig struct {
	names  []string
	margin bool
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

// maxModelBytes is the largest model that ReadModel takes.
const maxModelBytes = 1 << 30

// ReadModel reads a model, whose format it tells by the content: LightGBM's
// text of versions 2 to 4. Nothing in r is ever executed. A model whose feature
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
	sum := sha256.Sum256(data)
	format := detect(data)
	if format.read == nil {
		return nil, fmt.Errorf("%w: %s", ErrModelFormat, format.name)
	}
	f, err := format.read(data, &c)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrModelFormat, format.name, err)
	}
	f.info.Format = format.name
	f.info.Trees, f.info.Leaves, f.info.Depth = f.forest.Trees(), f.forest.Leaves(), f.forest.Depth()
	f.info.Features, f.info.Outputs = f.forest.Features(), f.forest.Outputs()
	f.info.Engine = "walk"
	f.info.Digest = "sha256:" + hex.EncodeToString(sum[:])
	if f.names, err = featureNames(f.names, c.names, f.info.Features); err != nil {
		return nil, err
	}
	return f, nil
}

// A format is a kind of model file.
type format struct {
	name string
	read func(data []byte, c *modelConfig) (*Forest, error) // nil if the kind is only known by name
}

// detect tells the format by the first bytes.
func detect(data []byte) format {
	head := bytes.TrimLeft(data[:min(len(data), 64)], " \t\r\n")
	switch {
	case lightgbm.Is(data):
		return format{"lightgbm", readLightGBM}
	case len(data) == 0:
		return format{name: "the file is empty"}
	case bytes.HasPrefix(data, []byte("{L")), bytes.HasPrefix(data, []byte("{i")), bytes.HasPrefix(data, []byte("{$")), bytes.HasPrefix(data, []byte("{#")):
		return format{name: "xgboost ubjson: not read yet; save the model with LightGBM as text"}
	case bytes.HasPrefix(head, []byte("{")):
		return format{name: "json, as xgboost writes it: not read yet; LightGBM models are read as text, by save_model"}
	case bytes.HasPrefix(data, []byte("binf")):
		return format{name: "xgboost binary: not read yet"}
	case data[0] == 0x80, len(data) > 1 && data[0] == 0x78 && (0x7800+int(data[1]))%31 == 0, // zlib
		bytes.HasPrefix(data, []byte{0x1f, 0x8b}), bytes.HasPrefix(data, []byte("BZh")):
		return format{name: "pickle or joblib, as scikit-learn writes it: not read yet"}
	}
	return format{name: fmt.Sprintf("unknown format, starting with %q: want LightGBM text, whose first line is \"tree\"", data[:min(len(data), 16)])}
}

func readLightGBM(data []byte, c *modelConfig) (*Forest, error) {
	file, err := lightgbm.Read(data, lightgbm.Options{Margin: c.margin})
	if err != nil {
		return nil, err
	}
	return &Forest{
		forest: file.Forest, names: file.Names,
		info: ModelInfo{Version: file.Version, Objective: file.Objective},
	}, nil
}

// featureNames decides what a model's n columns are called. The file's own
// names, nil if it has none, come first.
func featureNames(own, given []string, n int) ([]string, error) {
	switch {
	case given != nil && len(given) != n:
		return nil, fmt.Errorf("%w: %d feature names given, %q: the model has %d features", ErrFeatureMismatch, len(given), given, n)
	case own != nil && given != nil && !slices.Equal(own, given):
		return nil, fmt.Errorf("%w: feature names given, %q, are not the model's own, %q", ErrFeatureMismatch, given, own)
	case own != nil:
		given = own
	case given == nil && n == len(FeatureNames()):
		given = FeatureNames()
	case given == nil:
		given = make([]string, n)
		for j := range given {
			given[j] = fmt.Sprintf("Column_%d", j)
		}
	}
	seen := make(map[string]bool, n)
	for _, name := range given {
		if seen[name] {
			return nil, fmt.Errorf("%w: two features of the model are named %q", ErrFeatureMismatch, name)
		}
		seen[name] = true
	}
	return given, nil
}

var _ Explainer = (*Forest)(nil)
