package xgboost

import (
	"encoding/binary"
	"strings"
	"testing"
)

// TestRead_quotes puts terminal escapes, invalid UTF-8 and much text where errors
// or results show the file's own text.
func TestRead_quotes(t *testing.T) {
	const hostile = `\u001b[31m` + "\xff\u202e" + `\r\n`
	long := strings.Repeat("x", 5000)
	for _, old := range []string{
		`"1"`, `"best_iteration"`, `"a"`, `"[5E-1]"`, `"2"`, `"num_feature"`, `"reg:squarederror"`, `"gbtree"`, `"name"`, `"3"`, `"5"`, `"attributes"`, `"left_children"`,
	} {
		for _, text := range []string{hostile, hostile + long, long} {
			edited := strings.Replace(small, old, old[:len(old)-1]+text+`"`, 1)
			for _, opt := range []Options{{}, {Margin: true, BestIteration: true}} {
				file, err := Read([]byte(edited), opt)
				checkText(t, file, err)
			}
		}
	}
	const escape = `"\u001b[31m"`
	for _, c := range []struct{ name, old, new, want string }{
		{"objective", `"reg:squarederror"`, escape, `objective "\x1b[31m": want at most 256 bytes of printable UTF-8`},
		{"invalid objective", `"reg:squarederror"`, "\"reg:\xff\"", `objective "reg:\xff": want at most 256 bytes of printable UTF-8`},
		{"long objective", `"reg:squarederror"`, `"` + long + `"`, `xxx"...: want at most 256 bytes of printable UTF-8`},
		{"name", `["a","b"]`, `["a",` + escape + `]`, `feature_names: name 1 is "\x1b[31m": want UTF-8 without control characters`},
		{"invalid name", `["a","b"]`, "[\"a\",\"Gr\xf6\"]", `feature_names: name 1 is "Gr\xf6": want UTF-8`},
		{"booster", `"name":"gbtree"`, "\"name\":\"gb\xfftree\"", `booster "gb\xfftree": want gbtree`},
		{"key", `"best_iteration":"1"`, escape + `:nul`, `learner.attributes."\x1b[31m": byte 58: 'n': want a value`},
		{"duplicate key", `"best_iteration":"1"`, "\"\xff\":1,\"\xff\":2", `learner.attributes: byte 54: key "\xff" is a duplicate`},
		{"keys in keys", `"best_iteration":"1"`, strings.Repeat(`"`+long+`":{`, 60) + `?`, `xxx"...: byte 300285: '?': want a string`},
		{"number", `"num_feature":"2"`, `"num_feature":` + escape, `num_feature: "\x1b[31m": want a whole number`},
		{"base score", `"[5E-1]"`, escape, `base_score = "\x1b[31m": want a finite number`},
		{"long version", `[3,2,0]`, `[3` + strings.Repeat(",1", 5000) + `]`, `version: 5001 numbers: want 3`},
	} {
		file, err := Read([]byte(strings.Replace(small, c.old, c.new, 1)), Options{Margin: true})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s", c.name, err, c.want)
			continue
		}
		checkText(t, file, err)
	}

	good := formats(t, "../../testdata/models/xgboost-pruned-0.90")["binary"]
	at := learnerSize + 8
	bad := append([]byte(nil), good...)
	copy(bad[at:], "\x1b[31m\xff")
	file, err := Read(bad, Options{Margin: true})
	if want := `objective "\x1b[31m\xff`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("binary objective: error %v, want %s", err, want)
	}
	checkText(t, file, err)
	bad = append([]byte(nil), good...)
	copy(bad[at+len("reg:squarederror")+8:], "\x1b[31m\xff")
	file, err = Read(append([]byte(binaryMark), bad...), Options{})
	if want := `booster "\x1b[31m\xff": want gbtree`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("binary booster: error %v, want %s", err, want)
	}
	checkText(t, file, err)

	key := "\x1b[31m\xff"
	ubj := append([]byte{'{', 'l'}, binary.BigEndian.AppendUint32(nil, uint32(len(key)))...)
	file, err = Read(append(append(ubj, key...), 'x'), Options{})
	if want := `"\x1b[31m\xff": byte 13: type 'x': not one of UBJSON`; err == nil || err.Error() != want {
		t.Errorf("UBJSON key: error %v, want %s", err, want)
	}
	checkText(t, file, err)
}
