package deploy

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// queries are the expressions of both files, by where they are.
func queries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, r := range alerts(t) {
		all["alert "+r.Alert] = r.Expr
	}
	for title, list := range panels(t) {
		for _, expr := range list {
			all["panel "+title+": "+expr] = expr
		}
	}
	return all
}

func alerts(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile("../alerts.yaml", false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if errs != nil {
		t.Fatal(errs)
	}
	var rules []rulefmt.Rule
	for _, g := range groups.Groups {
		rules = append(rules, g.Rules...)
	}
	if len(rules) < 5 {
		t.Fatalf("%d alerts", len(rules))
	}
	return rules
}

// panels returns the expressions of each panel, with Grafana's variables replaced.
func panels(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			all[p.Title] = append(all[p.Title], strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(target.Expr))
		}
	}
	return all
}

// documentedLabels are the labels of a metric by the table of package telemetry.
func documentedLabels(t *testing.T, metric string) string {
	t.Helper()
	text, err := os.ReadFile("../../cmd/basket/internal/telemetry/telemetry.go")
	if err != nil {
		t.Fatal(err)
	}
	metric = regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(metric, "")
	return string(regexp.MustCompile(`(?m)^//\t` + metric + `(_count)? .*$`).Find(text))
}

// TestQueries_metricsExist: every metric that an alert or a panel names is one that a
// server gives, and has the labels that it names.
func TestQueries_metricsExist(t *testing.T) {
	url := startServer(t)
	ask(t, "POST", url+"/predict", `{"user_id":"`+demoUser+`"}`)
	names := map[string]bool{}
	for _, s := range scrape(t, url) {
		names[string(s.Metric["__name__"])] = true
	}
	for where, query := range queries(t) {
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
		if err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
			v, ok := node.(*parser.VectorSelector)
			if !ok {
				return nil
			}
			ofFeed := strings.HasPrefix(v.Name, "basket_feed_") && documentedLabels(t, v.Name) != ""
			if !names[v.Name] && !ofFeed {
				t.Errorf("%s: no server gives %s: there are %q", where, v.Name, slices.Sorted(maps.Keys(names)))
			}
			for _, m := range v.LabelMatchers {
				own := m.Name == "job" || m.Name == "instance" || m.Name == "le" || m.Name == "__name__" // Prometheus adds them
				if !own && !strings.Contains(documentedLabels(t, v.Name), m.Name) {
					t.Errorf("%s: %s has no label %s", where, v.Name, m.Name)
				}
			}
			return nil
		})
	}
}

// series are samples of a metric, one a minute.
type series struct {
	labels labels.Labels
	values []float64
}

// evaluate returns the value of an expression at the last minute.
func evaluate(t *testing.T, all []series, query string) promql.Vector {
	t.Helper()
	minutes := len(all[0].values)
	querier := &storage.MockQuerier{SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
		var found []storage.Series
		for _, s := range all {
			if slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.labels.Get(m.Name)) }) {
				continue
			}
			var samples []chunks.Sample
			for i, v := range s.values {
				samples = append(samples, sample{int64(i) * 60_000, v})
			}
			found = append(found, storage.NewListSeries(s.labels, samples))
		}
		return &seriesSet{list: found}
	}}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, Parser: parser.NewParser(parser.Options{})})
	defer engine.Close()
	q, err := engine.NewInstantQuery(context.Background(), &storage.MockQueryable{MockQuerier: querier}, nil, query, time.UnixMilli(int64(minutes-1)*60_000))
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	result := q.Exec(context.Background())
	v, err := result.Vector()
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return slices.Clone(v)
}

type seriesSet struct {
	list []storage.Series
	next int
}

func (s *seriesSet) Next() bool                        { s.next++; return s.next <= len(s.list) }
func (s *seriesSet) At() storage.Series                { return s.list[s.next-1] }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

type sample struct {
	t int64
	v float64
}

func (s sample) T() int64                      { return s.t }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.v }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

// TestQueries_server: over the scrapes of a server that predicts, no alert fires but that
// of the data's age, since the demo's orders are old; and every panel shows something,
// but those of failures.
func TestQueries_server(t *testing.T) {
	url := startServer(t)
	values := map[string]*series{}
	const minutes = 20
	for i := range minutes {
		for _, user := range []string{demoUser, demoUser, "nobody"} {
			ask(t, "POST", url+"/predict", `{"user_id":"`+user+`"}`)
		}
		for _, s := range scrape(t, url) {
			key := s.Metric.String()
			if values[key] == nil {
				b := labels.NewScratchBuilder(len(s.Metric))
				for name, value := range s.Metric {
					b.Add(string(name), string(value))
				}
				b.Sort()
				values[key] = &series{b.Labels(), make([]float64, i)} // not there before
			}
			values[key].values = append(values[key].values, float64(s.Value))
		}
	}
	var all []series
	for _, s := range values {
		all = append(all, *s)
	}
	for _, r := range alerts(t) {
		if fires := len(evaluate(t, all, r.Expr)) > 0; fires != (r.Alert == "BasketOldData") {
			t.Errorf("alert %s fires: %t", r.Alert, fires)
		}
	}
	for title, list := range panels(t) {
		shown := 0
		for _, expr := range list {
			shown += len(evaluate(t, all, expr))
		}
		if shown == 0 && title != "Requests that fail" {
			t.Errorf("the panel %q shows nothing", title)
		}
	}
}

// TestAlerts_fire: the values of metrics, one a minute, that make each alert fire.
func TestAlerts_fire(t *testing.T) {
	const up = `up{job="basket",instance="a"} 1x20`
	for alert, metrics := range map[string][]string{
		"BasketDown": {`up{job="basket",instance="a"} 0x20`},
		"BasketErrors": {
			`http_server_request_duration_seconds_count{http_route="/predict",http_response_status_code="200",instance="a"} 0+98x20`,
			`http_server_request_duration_seconds_count{http_route="/predict/batch",http_response_status_code="503",instance="a"} 0+2x20`,
		},
		"BasketSlow": {
			`http_server_request_duration_seconds_bucket{http_route="/predict",instance="a",le="0.02"} 0+98x20`,
			`http_server_request_duration_seconds_bucket{http_route="/predict",instance="a",le="0.05"} 0+100x20`,
			`http_server_request_duration_seconds_bucket{http_route="/predict",instance="a",le="+Inf"} 0+100x20`,
		},
		"BasketPredictionsFail": {
			`basket_predictions_total{basket_route="new",basket_model="price@2",instance="a"} 0+98x20`,
			`basket_predictions_total{basket_route="new",basket_model="price@2",instance="a",error_type="user_not_found"} 0+98x20`,
			`basket_predictions_total{basket_route="new",basket_model="price@2",instance="a",error_type="prediction_error"} 0+4x20`,
		},
		"BasketNoPredictions": {up, `basket_predictions_total{basket_shadow="false",instance="a"} 7x20`, `basket_predictions_total{basket_shadow="true",instance="a"} 0+1x20`},
		"BasketNotReady":      {`basket_check_status{basket_check="store",instance="a"} 2x20`},
		"BasketDegraded":      {`basket_check_status{basket_check="models",instance="a"} 1x20`},
		"BasketReloadsFail":   {`basket_reloads_total{basket_part="data",basket_outcome="failed",instance="a"} 0x10 1x10`},
		"BasketOldData":       {`basket_data_age_seconds{instance="a"} 180000x20`},
		"BasketLogLinesDropped": {
			`basket_log_dropped_total{instance="a"} 0x10 500x10`,
		},
		"BasketFeedLags":        {`basket_feed_lag{job="basket-feed",instance="a"} 9000x20`, `basket_feed_lag{job="basket-feed",instance="b"} 2000x20`},
		"BasketFeedDeadLetters": {`basket_feed_dead_letters_total{instance="a"} 0x10 1x10`},
	} {
		var all []series
		for _, text := range metrics {
			description, sequence, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(text)
			if err != nil {
				t.Fatal(err)
			}
			s := series{labels: description}
			for _, v := range sequence {
				s.values = append(s.values, v.Value)
			}
			all = append(all, s)
		}
		i := slices.IndexFunc(alerts(t), func(r rulefmt.Rule) bool { return r.Alert == alert })
		if i < 0 {
			t.Errorf("there is no alert %s", alert)
			continue
		}
		if got := evaluate(t, all, alerts(t)[i].Expr); len(got) != 1 {
			t.Errorf("%s: %v, want one alert", alert, got)
		}
	}
	for _, r := range alerts(t) {
		if r.Annotations["summary"] == "" || r.Labels["severity"] == "" {
			t.Errorf("%s has no summary or severity", r.Alert)
		}
	}
}

// TestUnit: systemd accepts the unit, with the command that is built here.
func TestUnit(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no systemd-analyze, which CI installs")
		}
		t.Skip("no systemd-analyze")
	}
	text, err := os.ReadFile("../basket.service")
	if err != nil {
		t.Fatal(err)
	}
	const installed = "/usr/local/bin/basket"
	if !strings.Contains(string(text), "ExecStart="+installed+" serve") {
		t.Fatalf("the unit does not start %s", installed)
	}
	unit := filepath.Join(t.TempDir(), "basket.service")
	if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), installed, builtCommand(t))), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
	if err != nil || strings.Contains(string(out), "basket.service") {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}
