package drift

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/basket-go/basket"
)

// A Profile is a reference: what rows and predictions were like. It is made by
// [NewProfile], [ReadProfile] or [LoadProfile] and not to be modified. It is safe for
// concurrent use.
type Profile struct {
	Version    int      `json:"version"` // of the format: 1
	Model      Model    `json:"model"`
	Meaning    string   `json:"meaning,omitempty"` // what a row describes: "last-order", "next-order", or empty if unknown
	Rows       int64    `json:"rows"`
	Features   []Column `json:"features"` // in the order of the rows' values
	Prediction Column   `json:"prediction"`
}

// A Model says which model a [Profile] belongs to.
type Model struct {
	ID     string `json:"id,omitempty"` // ModelInfo.ID
	Digest string `json:"digest"`       // ModelInfo.Digest
	Margin bool   `json:"margin,omitempty"`
}

// String returns the ID, if there is one, and the start of the digest.
func (m Model) String() string {
	s := fmt.Sprintf("%.18s", m.Digest)
	if m.Margin {
		s += ", margin"
	}
	if m.ID != "" {
		s = m.ID + ", " + s
	}
	return s
}

// A Column describes the values of a feature, or the predictions.
//
// Bin i has the values from Edges[i] on, below Edges[i+1]; the last bin has Max too. In
// a [Monitor], the first bin also has the values below Min, and the last one those above
// Max. Each bin of the reference has a value.
type Column struct {
	Name      string    `json:"name"`
	Edges     []float64 `json:"edges"`  // one more than there are bins, from Min to Max
	Counts    []int64   `json:"counts"` // rows of the reference in each bin
	Nulls     int64     `json:"nulls"`  // rows without a value (NaN)
	Mean      float64   `json:"mean"`
	Std       float64   `json:"std"` // of the population: the divisor is the number of values
	Min       float64   `json:"min"`
	Max       float64   `json:"max"`
	Quantiles []float64 `json:"quantiles"` // of 0 %, 1 % to 100 %, by linear interpolation
}

// cuts returns the edges between bins.
func (c *Column) cuts() []float64 { return c.Edges[1 : len(c.Edges)-1] }

// predictionName is the name of the column of the predictions.
const predictionName = "prediction"

// A ProfileOption configures [NewProfile].
type ProfileOption func(*profileConfig)

type profileConfig struct {
	bins    int
	meaning string
}

// WithBins sets the largest number of bins of a column, from 2 to 20; 10 is the default.
func WithBins(n int) ProfileOption { return func(c *profileConfig) { c.bins = n } }

// WithMeaning records which order a row describes.
func WithMeaning(m basket.Meaning) ProfileOption {
	return func(c *profileConfig) { c.meaning = m.String() }
}

// NewProfile describes the rows, whose values are named by features, and the model's
// predictions for them. It keeps all values in memory until it returns: 8 bytes for each
// row and column. A NaN is a row without a value.
//
// Options that cannot be used are an ErrInvalidConfig; features that the model misses,
// or a row of another length, an ErrFeatureMismatch; no rows, infinite values and columns
// without any value an ErrData. Errors of the sequence and of the model are returned as
// they are.
func NewProfile(ctx context.Context, rows iter.Seq2[basket.Row, error], features []string, model *basket.FileModel, opts ...ProfileOption) (*Profile, error) {
	config := profileConfig{bins: defaultBins}
	for _, o := range opts {
		o(&config)
	}
	if err := config.check(features, model); err != nil {
		return nil, err
	}
	c := collector{features: features, model: model, columns: make([][]float64, len(features)+1), nulls: make([]int64, len(features)+1)}
	for _, name := range model.Features() {
		j := slices.Index(features, name)
		if j < 0 {
			return nil, fmt.Errorf("drift: %w: the model needs the feature %.64q, which the rows lack: they have %.200q", basket.ErrFeatureMismatch, name, features)
		}
		c.inputs = append(c.inputs, j)
	}
	for row, err := range rows {
		if err == nil {
			err = c.add(ctx, row)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := c.predict(ctx); err != nil {
		return nil, err
	}
	return c.profile(config)
}

func (c *profileConfig) check(features []string, model *basket.FileModel) error {
	f := invalidConfig()
	if c.bins < minBins || c.bins > maxBins {
		f.add("WithBins(%d): want %d to %d", c.bins, minBins, maxBins)
	}
	if m := c.meaning; m != "" && !knownMeaning(m) {
		f.add("WithMeaning(%s): want LastOrder or NextOrder", m)
	}
	if n := model.Outputs(); n != 1 {
		f.add("the model has %d predictions per row: want 1", n)
	}
	if n := len(features); n == 0 || n > maxFeatures {
		f.add("%d features: want 1 to %d", n, maxFeatures)
	}
	for j, name := range features {
		if fault := nameFault(name, maxName); fault != "" {
			f.add("feature %d: the name %.64q %s", j, name, fault)
		}
		if slices.Contains(features[:j], name) {
			f.add("two features are named %.64q", name)
		}
	}
	return f.err()
}

func knownMeaning(s string) bool {
	return s == basket.LastOrder.String() || s == basket.NextOrder.String()
}

// A collector has the values of the rows by column. The last column is the predictions.
type collector struct {
	features []string
	model    *basket.FileModel
	inputs   []int // of the model, as indices of features
	rows     int64
	columns  [][]float64
	nulls    []int64
	pending  []float64 // the model's rows that are not predicted yet
}

func (c *collector) add(ctx context.Context, row basket.Row) error {
	if len(row.Values) != len(c.features) {
		return fmt.Errorf("drift: %w: row %d has %d values: want %d", basket.ErrFeatureMismatch, c.rows, len(row.Values), len(c.features))
	}
	for j, v := range row.Values {
		if err := c.put(j, c.features[j], v); err != nil {
			return err
		}
	}
	for _, j := range c.inputs {
		c.pending = append(c.pending, row.Values[j])
	}
	c.rows++
	if c.rows%1024 == 0 {
		return c.predict(ctx)
	}
	return nil
}

func (c *collector) put(j int, name string, v float64) error {
	switch {
	case math.IsNaN(v):
		c.nulls[j]++
	case math.IsInf(v, 0):
		return fmt.Errorf("drift: %w: row %d: %.64s is %v: want a finite value or NaN", basket.ErrData, c.rows, name, v)
	default:
		c.columns[j] = append(c.columns[j], v)
	}
	return nil
}

func (c *collector) predict(ctx context.Context) error {
	predictions := make([]float64, len(c.pending)/len(c.inputs))
	if err := c.model.Predict(ctx, predictions, c.pending); err != nil {
		return err
	}
	c.pending = c.pending[:0]
	for _, v := range predictions {
		if err := c.put(len(c.features), predictionName, v); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) profile(config profileConfig) (*Profile, error) {
	info := c.model.Info()
	p := &Profile{
		Version: version, Model: Model{ID: info.ID, Digest: info.Digest, Margin: info.Margin},
		Meaning: config.meaning, Rows: c.rows,
	}
	f := badData()
	if c.rows == 0 {
		f.add("no rows: want some to compare with")
		return nil, f.err()
	}
	for j, values := range c.columns {
		name := predictionName
		if j < len(c.features) {
			name = c.features[j]
		}
		if len(values) == 0 {
			f.add("%.64s has no value in %d rows: want at least one", name, c.rows)
			continue
		}
		column := newColumn(name, values, c.nulls[j], config.bins)
		if j < len(c.features) {
			p.Features = append(p.Features, column)
		} else {
			p.Prediction = column
		}
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// columns returns the features' columns and then that of the prediction.
func (p *Profile) columns() []*Column {
	all := make([]*Column, 0, len(p.Features)+1)
	for j := range p.Features {
		all = append(all, &p.Features[j])
	}
	return append(all, &p.Prediction)
}

// CheckModel returns nil if the profile belongs to one of the models: the content of the
// file counts, and whether predictions are margins. Else the error, an ErrInvalidConfig,
// names the profile's model and the given ones.
func (p *Profile) CheckModel(models ...*basket.FileModel) error {
	var names []string
	for _, m := range models {
		info := m.Info()
		if info.Digest == p.Model.Digest && info.Margin == p.Model.Margin {
			return nil
		}
		names = append(names, Model{info.ID, info.Digest, info.Margin}.String())
	}
	return fmt.Errorf("drift: %w: the profile is of the model %s, not of %s: make one with basket profile", basket.ErrInvalidConfig, p.Model, strings.Join(names, " or "))
}
