package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/basket-go/basket/serve"
)

// logSettings are the settings of the log files. The zero value means files of text
// with user IDs as they are, which other programs rotate.
type logSettings struct {
	Dir           string `name:"logs" type:"setting" placeholder:"DIR" help:"Folder for the service log and the model log, service_metrics.txt and model_metrics.txt, which SIGHUP reopens; made if missing. Without it no logs are written."`
	Format        string `name:"log-format" type:"setting" oneof:"text,json" placeholder:"FORMAT" help:"text (default), or json for service_metrics.json and model_metrics.json, one object a line."`
	UserID        string `name:"log-user-id" type:"setting" oneof:"plain,hash,none" placeholder:"FORM" help:"How user IDs are logged: plain (default), hash, which is keyed, so that the lines of a user belong together, or none."`
	UserIDKeyFile string `name:"log-user-id-key-file" type:"setting" placeholder:"FILE" help:"File of the key of --log-user-id hash, of 16 bytes or more. A line break at its end is not part of it."`
	UserIDKey     string `name:"log-user-id-key" type:"setting" secret:"" placeholder:"KEY" help:"The key itself; meant for the environment, BASKET_LOG_USER_ID_KEY."`
	MaxSize       int    `name:"log-max-size" type:"setting" placeholder:"MIB" help:"Begin a new file of a log at this size (default: never)."`
	MaxDays       int    `name:"log-max-days" type:"setting" placeholder:"DAYS" help:"Begin a new file of a log after this many days (default: never)."`
	Keep          int    `name:"log-keep" type:"setting" placeholder:"N" help:"Keep this many old files of each log (default: all)."`
}

// faults returns what is wrong with the settings, by themselves and together.
func (s logSettings) faults() []error {
	if s == (logSettings{}) {
		return nil
	}
	_, err := s.userIDs()
	return []error{s.check(), err}
}

// open opens the log files, which the caller closes. Report is that of
// [serve.OpenLogFile]. All faults of the settings are told at once.
func (s logSettings) open(report func(error)) (*serve.Logs, error) {
	ids, idsErr := s.userIDs()
	if err := errors.Join(s.check(), idsErr); err != nil {
		return nil, err
	}
	opts := []serve.LogsOption{
		serve.WithUserIDs(ids),
		serve.WithRotation(serve.Rotation{MaxBytes: int64(s.MaxSize) << 20, Days: s.MaxDays, Keep: s.Keep}),
	}
	if s.Format != "" {
		opts = append(opts, serve.WithLogFormat(serve.LogFormat(s.Format)))
	}
	return serve.OpenLogs(s.Dir, report, opts...)
}

// maxLogSize is the largest MaxSize: 1 TiB.
const maxLogSize = 1 << 20

// check returns what is wrong with the settings other than those of user IDs.
func (s logSettings) check() error {
	var faults []error
	if s.Dir == "" {
		faults = append(faults, errors.New("logs: no folder: give --logs DIR"))
	}
	if s.Format != "" && s.Format != string(serve.TextFormat) && s.Format != string(serve.JSONFormat) {
		faults = append(faults, fmt.Errorf("logs: format %q: want text or json", s.Format))
	}
	if s.MaxSize < 0 || s.MaxSize > maxLogSize {
		faults = append(faults, fmt.Errorf("logs: size of %d MiB: want 0 to %d", s.MaxSize, maxLogSize))
	}
	if s.MaxDays < 0 {
		faults = append(faults, fmt.Errorf("logs: %d days: want 0 or more", s.MaxDays))
	}
	switch {
	case s.Keep < 0:
		faults = append(faults, fmt.Errorf("logs: keep %d old files: want 0 or more", s.Keep))
	case s.Keep > 0 && s.MaxSize == 0 && s.MaxDays == 0:
		faults = append(faults, fmt.Errorf("logs: keep %d old files: nothing is rotated: give a size or days too", s.Keep))
	}
	return errors.Join(faults...)
}

// userIDs returns what is logged instead of user IDs, or nil. A hash needs a key that
// stays the same over restarts, so none is made up. A key without a hash is a fault
// too: whoever gave it expects that the log has no IDs.
func (s logSettings) userIDs() (serve.UserIDs, error) {
	given := s.UserIDKeyFile != "" || s.UserIDKey != ""
	switch {
	case s.UserID == "hash" && s.UserIDKeyFile != "" && s.UserIDKey != "":
		return nil, errors.New("logs: two keys of user IDs: give --log-user-id-key-file or BASKET_LOG_USER_ID_KEY")
	case s.UserID == "hash" && !given:
		return nil, errors.New("logs: no key to hash user IDs: give --log-user-id-key-file or BASKET_LOG_USER_ID_KEY, of 16 bytes or more, for instance by openssl rand -hex 32")
	case s.UserID == "hash":
		key, err := s.key()
		if err != nil {
			return nil, err
		}
		return serve.HashUserIDs(key)
	case s.UserID != "" && s.UserID != "plain" && s.UserID != "none":
		return nil, fmt.Errorf("logs: user IDs %q: want plain, hash or none", s.UserID)
	case given:
		return nil, errors.New("logs: a key of user IDs, which are not hashed: give --log-user-id hash, or no key")
	case s.UserID == "none":
		return serve.WithoutUserIDs(), nil
	}
	return nil, nil
}

// key reads the key of the hash. Its length is checked by serve.HashUserIDs.
func (s logSettings) key() ([]byte, error) {
	if s.UserIDKeyFile == "" {
		return []byte(s.UserIDKey), nil
	}
	f, err := os.Open(s.UserIDKeyFile)
	if err != nil {
		return nil, fmt.Errorf("logs: key of user IDs: %w", err)
	}
	defer f.Close()
	key, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return nil, fmt.Errorf("logs: key of user IDs: %w", err)
	}
	key, _ = bytes.CutSuffix(key, []byte("\n"))
	key, _ = bytes.CutSuffix(key, []byte("\r"))
	return key, nil
}
