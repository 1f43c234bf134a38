package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

// A setting is a field of a command that has the tag type:"setting", or type:"switch"
// for a bool. It is given by a flag, by an environment variable, or in the
// configuration file, in this order of precedence:
//
//	--key-file FILE
//	BASKET_KEY_FILE=FILE
//	key-file: FILE
//
// More tags: initial is the value if nothing is given, oneof lists the values that are
// allowed, separated by commas, positive refuses zero, and secret masks the value where settings are printed.
// Faults are kept, so that all of them are told at once; kong, which would stop at the
// first, only records the text of a flag.
type setting struct {
	name   string
	target reflect.Value
	tag    *kong.Tag
	source string // of the value in target, for --print-config
}

// rawFlags are the settings that stand on the command line, in order, as texts.
type rawFlags map[*kong.Value][]string

// A rawMapper records the text of a flag.
type rawMapper struct{ flags rawFlags }

func (m rawMapper) Decode(ctx *kong.DecodeContext, _ reflect.Value) error {
	t, err := ctx.Scan.PopValue("value")
	if err == nil {
		m.flags[ctx.Value] = append(m.flags[ctx.Value], t.String())
	}
	return err
}

// A switchMapper records a flag that may stand without a value.
type switchMapper struct{ flags rawFlags }

func (m switchMapper) IsBool() bool { return true }

func (m switchMapper) Decode(ctx *kong.DecodeContext, _ reflect.Value) error {
	text := "true"
	if ctx.Scan.Peek().Type == kong.FlagValueToken {
		text = ctx.Scan.Pop().String()
	}
	m.flags[ctx.Value] = append(m.flags[ctx.Value], text)
	return nil
}

// options make kong read settings.
func (f rawFlags) options() []kong.Option {
	return []kong.Option{kong.NamedMapper("setting", rawMapper{f}), kong.NamedMapper("switch", switchMapper{f})}
}

// environmentName returns the variable of a setting.
func environmentName(setting string) string {
	return "BASKET_" + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
}

// configFlag is the setting that names the configuration file.
const configFlag = "config"

// resolve gives each setting of a command its value. Its error joins all faults of
// the flags, the environment and the configuration file.
func resolve(command *kong.Node, raw rawFlags, lookup func(string) (string, bool)) ([]setting, error) {
	var list []setting
	var faults []error
	var file *configFile
	set := func(flag *kong.Flag) {
		s := setting{name: flag.Name, target: flag.Target, tag: flag.Tag}
		faults = append(faults, s.resolve(raw[flag.Value], lookup, file)...)
		list = append(list, s)
	}
	flags := slices.DeleteFunc(slices.Clone(command.Flags), func(f *kong.Flag) bool {
		return f.Tag.Type != "setting" && f.Tag.Type != "switch"
	})
	if i := slices.IndexFunc(flags, func(f *kong.Flag) bool { return f.Name == configFlag }); i >= 0 {
		set(flags[i])
		if path := flags[i].Target.String(); path != "" {
			var err error
			if file, err = readConfigFile(path); err != nil {
				faults = append(faults, err)
			}
		}
		flags = slices.Delete(flags, i, i+1)
	}
	for _, flag := range flags {
		set(flag)
	}
	if file != nil {
		faults = append(faults, file.unknown(command.Name, list)...)
	}
	return list, errors.Join(faults...)
}

// resolve gives a setting its value, and returns the faults of what is given for it,
// also where another source precedes.
func (s *setting) resolve(flags []string, lookup func(string) (string, bool), file *configFile) (faults []error) {
	s.source = "default"
	if text := s.tag.Get("initial"); text != "" {
		faults = append(faults, s.set(strings.Split(text, ",")))
	}
	take := func(texts []string, source, place string) {
		if err := cmp.Or(s.set(texts), s.checkPositive()); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", place, err))
			return
		}
		s.source = source
	}
	if file != nil && s.name != configFlag {
		if entry, ok := file.entries[s.name]; ok {
			place := fmt.Sprintf("%s:%d: %s", file.path, entry.line, s.name)
			if texts, err := entry.texts(s.target.Interface()); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", place, err))
			} else {
				take(texts, fmt.Sprintf("%s:%d", file.path, entry.line), place)
			}
		}
	}
	// An empty variable is one that is not set: many tools cannot unset variables.
	if text, _ := lookup(environmentName(s.name)); text != "" {
		take(strings.Split(text, ","), environmentName(s.name), environmentName(s.name))
	}
	if len(flags) > 0 {
		if s.target.Kind() != reflect.Slice {
			flags = flags[len(flags)-1:]
		}
		var texts []string
		for _, text := range flags {
			texts = append(texts, strings.Split(text, ",")...)
		}
		take(texts, "--"+s.name, "--"+s.name)
	}
	return slices.DeleteFunc(faults, func(err error) bool { return err == nil })
}

// set gives the target a value: a list has one for each text; other texts, which a
// comma has divided, are put together again.
func (s *setting) set(texts []string) error {
	text := strings.Join(texts, ",")
	shown := text
	if s.secret() {
		shown = masked
	}
	fault := func(want string) error { return fmt.Errorf("%.200q: want %s", shown, want) }
	allowed := s.tag.Get("oneof")
	switch target := s.target.Addr().Interface().(type) {
	case *string:
		if allowed != "" && text != "" && !slices.Contains(strings.Split(allowed, ","), text) {
			return fault(strings.Join(strings.Split(allowed, ","), " or "))
		}
		*target = text
	case *[]string:
		*target = nil
		for _, t := range texts {
			if t = strings.TrimSpace(t); t != "" {
				*target = append(*target, t)
			}
		}
	case *bool:
		v, err := strconv.ParseBool(text)
		if err != nil {
			return fault("true or false")
		}
		*target = v
	case *time.Duration:
		v, err := time.ParseDuration(text)
		if err != nil || v < 0 {
			return fault("a time such as 300ms, 5s or 1h30m")
		}
		*target = v
	case *int:
		v, err := strconv.Atoi(text)
		if err != nil || v < 0 {
			return fault("a whole number of 0 or more")
		}
		*target = v
	case *float64:
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || !(v >= 0 && v <= 1e300) {
			return fault("a number of 0 or more")
		}
		*target = v
	default:
		panic(fmt.Sprintf("setting %s has the type %T", s.name, target))
	}
	return nil
}

// checkPositive refuses a value that is given as zero.
func (s *setting) checkPositive() error {
	if s.tag.Has("positive") && s.target.IsZero() {
		return errors.New("0: want more; leave the setting out for its default")
	}
	return nil
}

// secret reports whether the value is masked.
func (s *setting) secret() bool { return s.tag.Has("secret") }

// masked stands where a secret is not printed.
const masked = "********"

// printSettings prints the settings as a configuration file, with the source of each.
func printSettings(w io.Writer, list []setting) error {
	for _, s := range list {
		v := s.target.Interface()
		if d, ok := v.(time.Duration); ok {
			v = d.String()
		}
		if s.secret() && !s.target.IsZero() {
			v = masked
		}
		text, err := yaml.MarshalWithOptions(v, yaml.Flow(true), yaml.JSON())
		if err != nil {
			return err
		}
		// The configuration file cannot name itself, nor ask to be printed, and what is
		// not set has no value.
		comment := ""
		if s.name == configFlag || s.name == "print-config" || s.source == "default" && s.target.IsZero() {
			comment = "# "
		}
		if _, err := fmt.Fprintf(w, "%s%s: %s # %s\n", comment, s.name, strings.TrimSpace(string(text)), printable(s.source)); err != nil {
			return err
		}
	}
	return nil
}
