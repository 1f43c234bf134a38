package drift

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/basket-go/basket"
)

// The limits of a profile's file.
const (
	version         = 1
	maxProfileBytes = 2 << 20
	maxFeatures     = 500
	maxName         = 256 // bytes
	maxRows         = 1e15
)

// ReadProfile reads what [Profile.Write] has written, at most 2 MiB. Unknown and repeated
// fields are faults, as are figures that contradict each other. The error joins up to 20
// faults of the content, each of which wraps ErrData; others are those of r.
func ReadProfile(r io.Reader) (*Profile, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxProfileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("drift: reading a profile: %w", err)
	}
	f := badData()
	p := new(Profile)
	if len(data) > maxProfileBytes {
		f.add("profile: over %d bytes: want at most that", maxProfileBytes)
	} else if err := decode(data, p); err != nil {
		f.add("profile: %w", err)
	} else {
		p.check(f)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// LoadProfile is [ReadProfile] for the file at path.
func LoadProfile(path string) (*Profile, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("drift: %w", err)
	}
	defer file.Close()
	p, err := ReadProfile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// Write writes the profile as JSON. The same profile is always the same bytes.
func (p *Profile) Write(w io.Writer) error {
	text, err := p.text()
	if err != nil {
		return fmt.Errorf("drift: writing a profile: %w", err)
	}
	_, err = w.Write(text)
	return err
}

func (p *Profile) text() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(p)
	return b.Bytes(), err
}

// Digest returns "sha256:" and the SHA-256 of what Write writes, in hexadecimal.
func (p *Profile) Digest() string {
	text, _ := p.text() // a profile that was checked has no infinite number
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// decode decodes JSON strictly.
func decode(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("not UTF-8: want JSON in UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		line := 1 + bytes.Count(data[:min(int(d.InputOffset()), len(data))], []byte("\n"))
		return fmt.Errorf("line %d: %.200s: want JSON as it was written", line, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more text after the JSON: want none")
	}
	return repeatedField(json.NewDecoder(bytes.NewReader(data)))
}

// repeatedField returns an error if an object has a field twice. The JSON is valid.
func repeatedField(d *json.Decoder) error {
	start, err := d.Token()
	if err != nil || start != json.Delim('{') && start != json.Delim('[') {
		return err
	}
	seen := map[string]bool{}
	for d.More() {
		if start == json.Delim('{') {
			name, err := d.Token()
			if err != nil {
				return err
			}
			key := strings.ToLower(fmt.Sprint(name)) // encoding/json matches without case
			if seen[key] {
				return fmt.Errorf("the field %.64q is repeated: want it once", name)
			}
			seen[key] = true
		}
		if err := repeatedField(d); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// check adds what contradicts itself. All numbers are finite: JSON has no others.
func (p *Profile) check(f *faults) {
	if p.Version != version {
		f.add("profile: version %d: want %d", p.Version, version)
		return // its fields may mean something else
	}
	if digest, ok := strings.CutPrefix(p.Model.Digest, "sha256:"); !ok || len(digest) != 64 || strings.Trim(digest, "0123456789abcdef") != "" {
		f.add("profile: model.digest: %.80q: want sha256: and 64 hexadecimal digits", p.Model.Digest)
	}
	if p.Model.ID != "" {
		if fault := nameFault(p.Model.ID, 2*maxName); fault != "" {
			f.add("profile: model.id: %.64q %s", p.Model.ID, fault)
		}
	}
	if p.Meaning != "" && !knownMeaning(p.Meaning) {
		f.add("profile: meaning: %.64q: want %s, %s or nothing", p.Meaning, basket.LastOrder, basket.NextOrder)
	}
	if p.Rows < 1 || p.Rows > maxRows {
		f.add("profile: rows: %d: want 1 to %g", p.Rows, maxRows)
	}
	if n := len(p.Features); n == 0 || n > maxFeatures {
		f.add("profile: features: %d of them: want 1 to %d", n, maxFeatures)
	}
	names := map[string]bool{}
	for j := range p.Features {
		c := &p.Features[j]
		place := fmt.Sprintf("features[%d]", j)
		if fault := nameFault(c.Name, maxName); fault != "" {
			f.add("profile: %s.name: %.64q %s", place, c.Name, fault)
		}
		if names[c.Name] {
			f.add("profile: %s.name: two features are named %.64q", place, c.Name)
		}
		names[c.Name] = true
		c.check(f, place, p.Rows)
	}
	if p.Prediction.Name != predictionName {
		f.add("profile: prediction.name: %.64q: want %q", p.Prediction.Name, predictionName)
	}
	p.Prediction.check(f, predictionName, p.Rows)
}

func (c *Column) check(f *faults, place string, rows int64) {
	if n := len(c.Counts); n < 1 || n > maxBins {
		f.add("profile: %s.counts: %d bins: want 1 to %d", place, n, maxBins)
	} else {
		c.checkCounts(f, place, rows)
	}
	if len(c.Edges) != len(c.Counts)+1 {
		f.add("profile: %s.edges: %d edges of %d bins: want one more than bins", place, len(c.Edges), len(c.Counts))
	} else if c.Edges[0] != c.Min || c.Edges[len(c.Edges)-1] != c.Max {
		f.add("profile: %s.edges: from %v to %v: want min to max, %v to %v", place, c.Edges[0], c.Edges[len(c.Edges)-1], c.Min, c.Max)
	}
	for i := 1; i < len(c.Edges); i++ {
		// The last bin may hold one value only.
		if c.Edges[i] < c.Edges[i-1] || c.Edges[i] == c.Edges[i-1] && i < len(c.Edges)-1 {
			f.add("profile: %s.edges[%d]: %v after %v: want ascending ones", place, i, c.Edges[i], c.Edges[i-1])
		}
	}
	switch spread := c.Max - c.Min; {
	case c.Mean < c.Min || c.Mean > c.Max:
		f.add("profile: %s.mean: %v: want min to max, %v to %v", place, c.Mean, c.Min, c.Max)
	case c.Std < 0 || c.Std > spread || c.Std == 0 && spread > math.Sqrt(math.SmallestNonzeroFloat64):
		f.add("profile: %s.std: %v: want above 0 and at most max - min, %v", place, c.Std, spread)
	}
	switch n := len(c.Quantiles); {
	case n != quantiles:
		f.add("profile: %s.quantiles: %d of them: want %d", place, n, quantiles)
	case !slices.IsSorted(c.Quantiles) || c.Quantiles[0] != c.Min || c.Quantiles[n-1] != c.Max:
		f.add("profile: %s.quantiles: want ascending ones from min to max", place)
	}
}

func (c *Column) checkCounts(f *faults, place string, rows int64) {
	if c.Nulls < 0 || c.Nulls > maxRows {
		f.add("profile: %s.nulls: %d: want 0 to %d", place, c.Nulls, rows)
		return
	}
	sum := c.Nulls
	for i, n := range c.Counts {
		if n < 1 || n > maxRows {
			f.add("profile: %s.counts[%d]: %d: want 1 to %d", place, i, n, rows)
			return
		}
		sum += n
	}
	if sum != rows {
		f.add("profile: %s.counts: %d with nulls: want the number of rows, %d", place, sum, rows)
	}
}

// nameFault returns what is wrong with a name.
func nameFault(name string, most int) string {
	switch {
	case name == "":
		return "is empty: want a name"
	case len(name) > most:
		return fmt.Sprintf("has %d bytes: want at most %d", len(name), most)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return "has characters that are none or control: want UTF-8 without control characters"
	}
	return ""
}
