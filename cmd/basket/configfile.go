package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxConfig is the most bytes of a configuration file. The time that the YAML library
// takes grows with the square of the nesting.
const maxConfig = 64 << 10

// A configFile is a YAML file with one key for each setting.
type configFile struct {
	path    string
	entries map[string]configEntry
}

type configEntry struct {
	line  int
	value ast.Node
}

// readConfigFile reads a configuration file. Its errors name the file and the line.
func readConfigFile(path string) (*configFile, error) {
	text, err := readBounded(path, maxConfig)
	if err != nil {
		return nil, err
	}
	return parseConfig(path, text)
}

// readBounded reads a file of at most most bytes.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s: want at most %d bytes", path, most)
	}
	return text, err
}

// parseConfig reads the text of a configuration file.
func parseConfig(path string, text []byte) (*configFile, error) {
	body, err := parseYAML(text, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, fmt.Errorf("%s%w", path, err)
	}
	c := &configFile{path: path, entries: map[string]configEntry{}}
	var pairs []*ast.MappingValueNode
	switch body := body.(type) {
	case *ast.MappingNode:
		pairs = body.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{body}
	case nil, *ast.CommentGroupNode, *ast.NullNode:
	default:
		return nil, fmt.Errorf("%s:%d: want a line NAME: VALUE for each setting", path, body.GetToken().Position.Line)
	}
	var faults []error
	for _, pair := range pairs {
		line, name := pair.Key.GetToken().Position.Line, pair.Key.GetToken().Value
		if first, ok := c.entries[name]; ok {
			faults = append(faults, fmt.Errorf("%s:%d: %.64q is also in line %d: give it once", path, line, name, first.line))
			continue
		}
		c.entries[name] = configEntry{line, pair.Value}
	}
	return c, errors.Join(faults...)
}

// yamlError returns the error of the YAML library in one line that begins with the
// number of the line in the file.
func yamlError(err error) error {
	if syntax, ok := errors.AsType[*yaml.SyntaxError](err); ok && syntax.Token != nil {
		return fmt.Errorf(":%d: %s", syntax.Token.Position.Line, syntax.Message)
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Errorf(": %s", text)
}

// unknown returns a fault for each key that no setting of a command has.
func (c *configFile) unknown(command string, list []setting) (faults []error) {
	type key struct {
		name string
		line int
	}
	var keys []key
	for name, entry := range c.entries {
		known := slices.ContainsFunc(list, func(s setting) bool { return s.name == name })
		if !known || name == configFlag || name == "print-config" {
			keys = append(keys, key{name, entry.line})
		}
	}
	slices.SortFunc(keys, func(a, b key) int { return a.line - b.line })
	for _, k := range keys {
		faults = append(faults, fmt.Errorf("%s:%d: unknown setting %.64q; see basket %s --help", c.path, k.line, k.name, command))
	}
	return faults
}

// texts returns the value of an entry as the texts of a flag. The type in the file must
// be that of target.
func (e configEntry) texts(target any) ([]string, error) {
	want := ""
	switch target.(type) {
	case string:
		if s, ok := stringOf(e.value); ok {
			return []string{s}, nil
		}
		want = "a string; quote it if it looks like something else"
	case []string:
		return e.list()
	case time.Duration:
		if s, ok := stringOf(e.value); ok {
			return []string{s}, nil
		}
		want = "a time such as 300ms, 5s or 1h30m"
	case bool:
		if v, ok := e.value.(*ast.BoolNode); ok {
			return []string{fmt.Sprint(v.Value)}, nil
		}
		want = "true or false"
	case int, float64:
		switch v := e.value.(type) {
		case *ast.IntegerNode:
			return []string{fmt.Sprint(v.Value)}, nil
		case *ast.FloatNode:
			return []string{v.Token.Value}, nil
		}
		want = "a number"
	}
	return nil, fmt.Errorf("%s: want %s", kindOf(e.value), want)
}

func (e configEntry) list() ([]string, error) {
	items := []ast.Node{e.value}
	if sequence, ok := e.value.(*ast.SequenceNode); ok {
		items = sequence.Values
	}
	var texts []string
	for _, item := range items {
		s, ok := stringOf(item)
		if !ok {
			return nil, fmt.Errorf("%s: want a list of strings", kindOf(item))
		}
		texts = append(texts, s)
	}
	return texts, nil
}

func stringOf(n ast.Node) (string, bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return v.Value.Value, true
	}
	return "", false
}

// kindOf names a value of another type than wanted. It does not repeat the value, which
// may be a secret in the wrong place.
func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return "a string"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode, nil:
		return "no value"
	}
	return "a value of another kind"
}

// yamlToJSON turns a YAML document, which may be JSON, into JSON. It refuses anchors,
// because a short text with them may have a very long meaning.
func yamlToJSON(text []byte) ([]byte, error) {
	if len(text) > maxConfig {
		return nil, fmt.Errorf("%d bytes: want at most %d", len(text), maxConfig)
	}
	body, err := parseYAML(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("YAML%w", err)
	case body == nil:
		return nil, errors.New("YAML: no document")
	}
	if anchors := ast.Filter(ast.AnchorType, body); len(anchors) > 0 {
		return nil, fmt.Errorf("YAML:%d: an anchor: want none", anchors[0].GetToken().Position.Line)
	}
	json, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, fmt.Errorf("YAML%w", yamlError(err))
	}
	return json, nil
}

// parseYAML returns the body of a text of one document, or nil if there is none. Its
// errors begin with a colon, which the name of the file precedes.
func parseYAML(text []byte, opts ...parser.Option) (ast.Node, error) {
	parsed, err := parser.ParseBytes(text, 0, opts...)
	if err != nil {
		return nil, yamlError(err)
	}
	docs := slices.DeleteFunc(parsed.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil })
	switch len(docs) {
	case 0:
		return nil, nil
	case 1:
		return docs[0].Body, nil
	}
	return nil, fmt.Errorf(": %d documents: want one", len(docs))
}
