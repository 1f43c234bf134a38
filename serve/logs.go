package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/basket-go/basket"
)

// A LogFormat is the form of log files.
type LogFormat string

// The forms of log files.
const (
	TextFormat LogFormat = "text" // of TextLogger
	JSONFormat LogFormat = "json" // of JSONLogger
)

// Logs are the service log and the model log as files.
type Logs struct {
	Service basket.ServiceLogger
	Model   basket.ModelLogger
	files   []*LogFile
}

// A LogsOption sets up [OpenLogs].
type LogsOption func(*logsConfig)

type logsConfig struct {
	format   LogFormat
	userIDs  UserIDs
	rotation Rotation
}

// WithLogFormat sets the form of the files; the default is TextFormat.
func WithLogFormat(f LogFormat) LogsOption { return func(c *logsConfig) { c.format = f } }

// WithUserIDs sets what is logged instead of user IDs; by default, and with nil, they
// are logged as they are.
func WithUserIDs(u UserIDs) LogsOption { return func(c *logsConfig) { c.userIDs = u } }

// WithRotation sets when the files are replaced by new ones; the default is the zero
// Rotation.
func WithRotation(r Rotation) LogsOption { return func(c *logsConfig) { c.rotation = r } }

// OpenLogs opens service_metrics.txt and model_metrics.txt in dir, which it makes
// if it is missing; files in JSON have the extension .json, and no header. Report is
// that of [OpenRotatedLogFile]. The logs must be closed.
func OpenLogs(dir string, report func(error), opts ...LogsOption) (*Logs, error) {
	c := logsConfig{format: TextFormat}
	for _, o := range opts {
		o(&c)
	}
	err := c.rotation.validate()
	if c.format != TextFormat && c.format != JSONFormat {
		err = errors.Join(err, fmt.Errorf("serve: log format %q: want %q or %q", c.format, TextFormat, JSONFormat))
	}
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	service, err := c.openFile(dir, "service_metrics", ServiceLogHeader, report)
	if err != nil {
		return nil, err
	}
	model, err := c.openFile(dir, "model_metrics", ModelLogHeader, report)
	if err != nil {
		return nil, errors.Join(err, service.Close())
	}
	l := &Logs{files: []*LogFile{service, model}}
	if c.format == JSONFormat {
		l.Service, l.Model = NewJSONLogger(service), NewJSONLogger(model)
	} else {
		l.Service, l.Model = NewTextLogger(service), NewTextLogger(model)
	}
	if c.userIDs != nil {
		l.Service, l.Model = c.userIDs.ServiceLogger(l.Service), c.userIDs.ModelLogger(l.Model)
	}
	return l, nil
}

func (c *logsConfig) openFile(dir, name, header string, report func(error)) (*LogFile, error) {
	if c.format == JSONFormat {
		return OpenRotatedLogFile(filepath.Join(dir, name+".json"), "", c.rotation, report)
	}
	return OpenRotatedLogFile(filepath.Join(dir, name+".txt"), header, c.rotation, report)
}

// Dropped returns how many lines of both files were dropped since they were opened;
// see [LogFile].
func (l *Logs) Dropped() int64 { return l.files[0].Dropped() + l.files[1].Dropped() }

// Reopen reopens both files; see [LogFile.Reopen].
func (l *Logs) Reopen() error { return errors.Join(l.files[0].Reopen(), l.files[1].Reopen()) }

// Close writes what is in memory and closes both files; see [LogFile.Close].
func (l *Logs) Close() error { return errors.Join(l.files[0].Close(), l.files[1].Close()) }

// ReopenOnHangup starts a goroutine that calls Reopen, of a [LogFile] or of
// [Logs], at each SIGHUP, which log rotation sends, until ctx is done. It passes
// errors to report, which may be nil.
func ReopenOnHangup(ctx context.Context, logs interface{ Reopen() error }, report func(error)) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hangup)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangup:
				if err := logs.Reopen(); err != nil && report != nil {
					report(err)
				}
			}
		}
	}()
}
