package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	pageStreams = 10
	pageStep    = 5 * time.Second // from one event of a stream to the next
)

// page compares the throughput of "basket serve --ui" while clients hold the page's event
// stream open with that of the same process without them.
func (b *bench) page(ctx context.Context) (err error) {
	name := fmt.Sprintf("page: POST /predict while %d event streams are open, throughput", pageStreams)
	if !b.selected(name) {
		return nil
	}
	defer func(length time.Duration) { b.length = length }(b.length)
	b.length = max(b.length, pageStep) // so that each measurement has an event
	s := b.shop()
	rows, err := s.rows()
	if err != nil {
		return err
	}
	logs, err := os.MkdirTemp(b.temp, "page")
	if err != nil {
		return err
	}
	server, err := b.startCommand(ctx, s, "--model", s.model, "--ui", "--logs", logs, "--log-format", "json")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(server)) }()
	load, tool, err := b.loadGenerator(someUsers(rows, httpUsers), "")
	if err != nil {
		return err
	}
	_, results := b.compare(ctx, name, perSecond,
		candidate{name: "with streams", measure: func(ctx context.Context) (float64, error) {
			streams := openStreams(ctx, "http://"+server.ready+"/ui/api/stream", pageStreams)
			rate, err := load(ctx, server.ready)
			return rate, errors.Join(err, streams.close(ctx))
		}},
		candidate{name: "without", measure: func(ctx context.Context) (float64, error) { return load(ctx, server.ready) }, bar: minRatio(0.95)})
	for _, r := range results {
		r.Note = fmt.Sprintf("%d connections over loopback by %s, and %d that read /ui/api/stream, all on the same cores; each measurement of %v has an event for each of them", closedLoopConnections, tool, pageStreams, b.length)
		b.add(r)
	}
	return nil
}

// eventStreams are clients that read an event stream.
type eventStreams struct {
	cancel context.CancelFunc
	wait   sync.WaitGroup
	events []atomic.Int64 // that each of them has read
	errs   []error        // why each of them ended
}

// openStreams opens event streams, and returns when the first line of each has come, or it
// has failed, as close tells.
func openStreams(ctx context.Context, url string, n int) *eventStreams {
	ctx, cancel := context.WithCancel(ctx)
	s := &eventStreams{cancel: cancel, events: make([]atomic.Int64, n), errs: make([]error, n)}
	transport := &http.Transport{}
	var opened sync.WaitGroup
	for i := range n {
		opened.Add(1)
		begun := sync.OnceFunc(opened.Done)
		s.wait.Go(func() {
			defer begun()
			s.errs[i] = readStream(ctx, transport, url, func(line string) {
				begun()
				if strings.HasPrefix(line, "data: ") {
					s.events[i].Add(1)
				}
			})
		})
	}
	opened.Wait()
	return s
}

// readStream passes on the lines of a stream, until it ends or ctx is done.
func readStream(ctx context.Context, transport http.RoundTripper, url string, line func(string)) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, answer.Status)
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line(lines.Text())
	}
	return errors.Join(lines.Err(), errors.New("the stream ended"))
}

// close ends the streams. It is an error if one has ended before, or had no event.
func (s *eventStreams) close(ctx context.Context) error {
	s.cancel()
	s.wait.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for i, err := range s.errs {
		if !errors.Is(err, context.Canceled) {
			return fmt.Errorf("event stream %d: %w", i, err)
		}
		if s.events[i].Load() == 0 {
			return fmt.Errorf("event stream %d had no event", i)
		}
	}
	return nil
}
