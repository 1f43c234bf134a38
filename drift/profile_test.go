package drift_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/drift"
	"github.com/google/go-cmp/cmp"
)

// columnOf returns the column of a feature with these values.
func columnOf(t *testing.T, values []float64, opts ...drift.ProfileOption) drift.Column {
	t.Helper()
	rows := make([][]float64, len(values))
	for i, v := range values {
		rows[i] = []float64{v, 0, 0, 0}
	}
	return newProfile(t, rows, opts...).Features[0]
}

// repeat returns n times v for each pair of v and n.
func repeat(pairs ...float64) []float64 {
	var values []float64
	for p := range slices.Chunk(pairs, 2) {
		values = append(values, slices.Repeat([]float64{p[0]}, int(p[1]))...)
	}
	return values
}

func TestNewProfile_bins(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	tests := []struct {
		name   string
		values []float64
		edges  []float64
		counts []int64
	}{
		{"different values: bins of equal numbers", hundred, []float64{1, 11, 21, 31, 41, 51, 61, 71, 81, 91, 100}, []int64{10, 10, 10, 10, 10, 10, 10, 10, 10, 10}},
		{"a constant", repeat(7, 50), []float64{7, 7}, []int64{50}},
		{"a bin for each of few values", repeat(0, 30, 1, 50, 2, 20), []float64{0, 1, 2, 2}, []int64{30, 50, 20}},
		{"a rare value shares a bin", repeat(0, 600, 1, 395, 2, 5), []float64{0, 1, 2}, []int64{600, 400}},
		{"nearly a constant still has two bins", repeat(0, 997, 1, 2, 5, 1), []float64{0, 1, 5}, []int64{997, 3}},
		{"nearly a constant, which is the largest", repeat(-3, 1, 0, 997), []float64{-3, 0, 0}, []int64{1, 997}},
		{"one value is most of them", append(repeat(0, 900), hundred...), []float64{0, 1, 21, 41, 61, 81, 100}, []int64{900, 20, 20, 20, 20, 20}},
		{"negative zero is zero", repeat(math.Copysign(0, -1), 10, 0, 10), []float64{0, 0}, []int64{20}},
	}
	for _, test := range tests {
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(test.values), func(i, j int) {
			test.values[i], test.values[j] = test.values[j], test.values[i]
		})
		c := columnOf(t, test.values)
		if diff := cmp.Diff(test.edges, c.Edges); diff != "" {
			t.Errorf("%s: edges (-want +got)\n%s", test.name, diff)
		}
		if diff := cmp.Diff(test.counts, c.Counts); diff != "" {
			t.Errorf("%s: counts (-want +got)\n%s", test.name, diff)
		}
	}
}

// TestNewProfile_oracle compares profiles of random values with plain formulas, and reads
// what was written.
func TestNewProfile_oracle(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		n, bins, kinds := 2+r.IntN(500), 2+r.IntN(19), 1+r.IntN(60)
		scale := math.Pow(10, float64(r.IntN(20)-10))
		var values []float64
		for range n {
			values = append(values, float64(r.IntN(kinds))*scale)
		}
		nulls := r.IntN(5)
		c := columnOf(t, append(slices.Repeat([]float64{math.NaN()}, nulls), values...), drift.WithBins(bins))
		if len(c.Counts) > bins || c.Nulls != int64(nulls) {
			t.Fatalf("%d bins and %d nulls, want at most %d and %d", len(c.Counts), c.Nulls, bins, nulls)
		}
		slices.Sort(values)
		for b, got := range c.Counts {
			want := int64(0)
			for _, v := range values {
				if v >= c.Edges[b] && (v < c.Edges[b+1] || b == len(c.Counts)-1) {
					want++
				}
			}
			if got != want || got == 0 {
				t.Fatalf("bin %d from %v to %v of %v has %d values, want %d", b, c.Edges[b], c.Edges[b+1], values, got, want)
			}
		}
		mean, squares := 0.0, 0.0
		for _, v := range values {
			mean += v / float64(n)
		}
		for _, v := range values {
			squares += (v - mean) * (v - mean) / float64(n)
		}
		near := func(what string, got, want float64) {
			if math.Abs(got-want) > 1e-12*values[n-1] {
				t.Fatalf("%s of %v is %v, want %v", what, values, got, want)
			}
		}
		near("mean", c.Mean, mean)
		near("std", c.Std, math.Sqrt(squares))
		near("min", c.Min, values[0])
		near("max", c.Max, values[n-1])
		near("median", c.Quantiles[50], (values[(n-1)/2]+values[n/2])/2)
	}
}

func TestProfile_roundTrip(t *testing.T) {
	p := newProfile(t, newRows(1, 500), drift.WithMeaning(basket.NextOrder))
	if p.Rows != 500 || p.Meaning != "next-order" || len(p.Features) != 4 || p.Prediction.Name != "prediction" || p.Model.Digest != loadModel(t).Info().Digest {
		t.Errorf("%d rows, meaning %q, %d features, prediction %q, model %v", p.Rows, p.Meaning, len(p.Features), p.Prediction.Name, p.Model)
	}
	var text bytes.Buffer
	if err := p.Write(&text); err != nil {
		t.Fatal(err)
	}
	got, err := drift.ReadProfile(&text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, got); diff != "" {
		t.Errorf("-written +read\n%s", diff)
	}
	if got.Digest() != p.Digest() || p.Digest() == newProfile(t, newRows(2, 500)).Digest() {
		t.Error("digests: want those of equal profiles to be equal, and no others")
	}
}

// TestNewProfile_prediction checks that the model gets its features by name.
func TestNewProfile_prediction(t *testing.T) {
	rows := newRows(1, 3000) // more than are predicted at a time
	model := loadModel(t)
	predictions := predict(t, model, rows)
	reversed := basket.FeatureNames()
	slices.Reverse(reversed)
	reversed = append(reversed, "extra")
	for i := range rows {
		rows[i] = slices.Clone(rows[i])
		slices.Reverse(rows[i])
		rows[i] = append(rows[i], 1)
	}
	p, err := drift.NewProfile(t.Context(), sequence(rows), reversed, model)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(predictions)
	if p.Prediction.Min != predictions[0] || p.Prediction.Max != predictions[2999] || p.Prediction.Quantiles[50] != (predictions[1499]+predictions[1500])/2 {
		t.Errorf("predictions from %v to %v, want %v to %v", p.Prediction.Min, p.Prediction.Max, predictions[0], predictions[2999])
	}
	if got := p.Features[4].Name; got != "extra" {
		t.Errorf("the last feature is %q, want extra", got)
	}
}

func TestNewProfile_faults(t *testing.T) {
	broken := errors.New("broken")
	failing := func(yield func(basket.Row, error) bool) { yield(basket.Row{}, broken) }
	names := basket.FeatureNames()
	nan := math.NaN()
	tests := []struct {
		name     string
		rows     iter.Seq2[basket.Row, error]
		features []string
		opts     []drift.ProfileOption
		want     error
		texts    []string
	}{
		{"no rows", sequence(nil), names, nil, basket.ErrData, []string{"no rows"}},
		{"a short row", sequence([][]float64{{1, 2}}), names, nil, basket.ErrFeatureMismatch, []string{"row 0 has 2 values: want 4"}},
		{"an infinite value", sequence([][]float64{{1, 2, math.Inf(1), 4}}), names, nil, basket.ErrData, []string{"row 0: prior_regulars_count is +Inf"}},
		{"columns without values", sequence([][]float64{{nan, 2, nan, 4}}), names, nil, basket.ErrData, []string{"prior_basket_value has no value", "prior_regulars_count has no value"}},
		{"a missing feature", sequence(newRows(1, 10)), []string{"a", "b", "c", "d"}, nil, basket.ErrFeatureMismatch, []string{`needs the feature "prior_basket_value"`}},
		{"an error of the rows", failing, names, nil, broken, []string{"broken"}},
		{
			"options", sequence(newRows(1, 10)), []string{"a", "a", ""},
			[]drift.ProfileOption{drift.WithBins(21), drift.WithMeaning(7)}, basket.ErrInvalidConfig,
			[]string{"WithBins(21)", "WithMeaning(Meaning(7))", `two features are named "a"`, "is empty"},
		},
	}
	for _, test := range tests {
		_, err := drift.NewProfile(t.Context(), test.rows, test.features, loadModel(t), test.opts...)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
			continue
		}
		for _, text := range test.texts {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v, want %q in it", test.name, err, text)
			}
		}
	}
}

// TestReadProfile_faults damages a profile.
func TestReadProfile_faults(t *testing.T) {
	text := profileText(t)
	tests := []struct {
		name     string
		old, new string
		want     []string
	}{
		{"empty", text, "", []string{"line 1: EOF"}},
		{"cut", text[len(text)/2:], "", []string{"unexpected EOF"}},
		{"more text", text, text + "{}", []string{"more text after the JSON"}},
		{"another version", `"version": 1`, `"version": 2`, []string{"version 2: want 1"}},
		{"an unknown field", `"version": 1`, `"version": 1, "colour": 3`, []string{`unknown field "colour"`}},
		{"a repeated field", `"version": 1`, `"version": 1, "Version": 1`, []string{`"Version" is repeated`}},
		{"an infinite number", `"mean": `, `"mean": 1e999, "was": `, []string{"1e999"}},
		{"a digest", "sha256:", "sha1:", []string{"model.digest"}},
		{"rows", `"rows": 500`, `"rows": 501`, []string{"features[0].counts: 500 with nulls: want the number of rows, 501", "prediction.counts"}},
		{"nulls", `"nulls": 0`, `"nulls": -1`, []string{"features[0].nulls: -1"}},
		{"a name", `"name": "prior_item_count"`, `"name": "prior_basket_value"`, []string{`two features are named "prior_basket_value"`}},
		{"several", `"rows": 500`, `"rows": -5, "meaning": "x"`, []string{"meaning", "rows: -5: want 1", "features[0].counts"}},
		{"edges", `"edges": [`, `"edges": [99999,`, []string{"features[0].edges: 12 edges of 10 bins", "features[0].edges[1]: "}},
		{"quantiles", `"quantiles": [`, `"quantiles": [99999,`, []string{"features[0].quantiles: 102 of them: want 101"}},
		{"std", `"std": `, `"std": -`, []string{"features[0].std"}},
		{"mean", `"mean": `, `"mean": -`, []string{"features[0].mean"}},
	}
	for _, test := range tests {
		damaged := strings.Replace(text, test.old, test.new, 1)
		if damaged == text {
			t.Fatalf("%s: %q is not in the profile", test.name, test.old)
		}
		_, err := drift.ReadProfile(strings.NewReader(damaged))
		if !errors.Is(err, basket.ErrData) {
			t.Errorf("%s: %v, want ErrData", test.name, err)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q in it", test.name, err, want)
			}
		}
	}
	if _, err := drift.ReadProfile(strings.NewReader(strings.Repeat(" ", 3<<20))); !errors.Is(err, basket.ErrData) {
		t.Errorf("3 MiB: %v, want ErrData", err)
	}
}

func profileText(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	if err := newProfile(t, newRows(1, 500)).Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestProfile_CheckModel(t *testing.T) {
	p, same, other := newProfile(t, newRows(1, 100)), loadModel(t, basket.WithModelID("price@1")), otherModel(t)
	if err := p.CheckModel(other, same); err != nil {
		t.Error(err)
	}
	err := p.CheckModel(other, loadModel(t, basket.WithMargin()))
	want := fmt.Sprintf("the profile is of the model %.18s, not of price@2, %.18s or %.18s, margin:", p.Model.Digest, other.Info().Digest, p.Model.Digest)
	if !errors.Is(err, basket.ErrInvalidConfig) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q in it", err, want)
	}
}

func TestLoadProfile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "profile.json")
	if _, err := drift.LoadProfile(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want ErrNotExist", err)
	}
	if err := os.WriteFile(path, []byte(`{"version":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := drift.LoadProfile(path); !errors.Is(err, basket.ErrData) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v, want ErrData and the path", err)
	}
}

// FuzzReadProfile checks that what is read can be used: it is written as it was, and a
// Monitor reports finite figures, which JSON can have.
func FuzzReadProfile(f *testing.F) {
	f.Add(profileText(f))
	f.Add(`{"version":1,"model":{"digest":"x"},"rows":3,"features":[{"name":"a","edges":[1,1],"counts":[3]}]}`)
	constant := `"edges":[1,1],"counts":[3],"mean":1,"min":1,"max":1,"quantiles":[1` + strings.Repeat(",1", 100) + `]`
	f.Add(`{"version":1,"model":{"digest":"sha256:` + strings.Repeat("0", 64) + `"},"rows":3,"features":[{"name":"a",` + constant + `}],"prediction":{"name":"prediction",` + constant + `}}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := drift.ReadProfile(strings.NewReader(text))
		if err != nil {
			return
		}
		var written bytes.Buffer
		if err := p.Write(&written); err != nil {
			t.Fatal(err)
		}
		again, err := drift.ReadProfile(&written)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, again); diff != "" {
			t.Fatal(diff)
		}
		checkReport(t, p)
	})
}
