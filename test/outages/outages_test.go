// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// margin is what a busy machine may add to a bound: of processes that are scheduled, of
// a connection that is made, and of what the receiving client waits for between messages.
const margin = time.Second

// all are the faults of the suite.
func all() []fault { return slices.Concat(established, connecting) }

func TestEachLossIsNoticedWithinItsBoundAndNothingIsLost(t *testing.T) {
	proxy := startToxiproxy(t)
	t.Run("rows", func(t *testing.T) { // the proxy ends after them
		for place, f := range all() {
			for _, s := range []side{remote, local} {
				for _, d := range []direction{toward, from} {
					if f.expected(d) == nil {
						continue
					}
					for _, row := range rows(&f) {
						t.Run(fmt.Sprintf("%s/%s/%s/MQTT %s/QoS %v", f.name, s, words(s, d), row.version, row.qos), func(t *testing.T) {
							t.Parallel()
							w := &world{TB: t, side: s, direction: d, version: row.version, settings: short, proxy: proxy}
							w.outage(&f, place, row.qos)
						})
					}
				}
			}
		}
	})
}

// row is a fault with one version, and one or two QoS.
type row struct {
	version v1alpha1.ProtocolVersion
	qos     []byte
}

// rows has both QoS of a version at once, or where -full is given one after the other.
func rows(f *fault) []row {
	var out []row
	for _, v := range both {
		switch {
		case !f.of(v):
		case *full:
			out = append(out, row{v, []byte{1}}, row{v, []byte{2}})
		default:
			out = append(out, row{v, []byte{1, 2}})
		}
	}
	return out
}

// words say the direction as manifests do.
func words(s side, d direction) string {
	if (s == remote) == (d == toward) {
		return "forwards"
	}
	return "subscriptions"
}

// outage loses the server in use, and judges what becomes of it.
func (w *world) outage(f *fault, place int, qos []byte) {
	w.Helper()
	if f.isolated && !isolated() {
		results.leave(f.name)
		return
	}
	inject, heal, lost := f.inject, f.heal, "primary"
	if f.connecting != nil {
		w.build(false, f.connecting)
		inject, heal, lost = func(w *world) { w.link.enable(false) }, func(w *world) { w.link.enable(true) }, "backup-1"
	} else {
		w.build(f.sieved)
	}
	w.connect()
	w.stream(f.size, qos...)
	want := f.expected(w.direction)
	within := want.of(w.settings)

	began := time.Now()
	inject(w)
	for _, s := range w.streams {
		must(w, s.switched(began, within+soon))
	}
	end := time.Now()
	status := w.waitActive(w.backup.Name, soon)

	n := w.noticed(lost)
	noticed := n.at.Sub(began)
	if f.connecting != nil { // from when it was tried
		noticed = n.at.Sub(w.noticed("primary").at)
	}
	if noticed > within+margin {
		w.Errorf("noticed after %s, want within %s", noticed, within)
	}
	if !slices.Contains(want.reasons, n.reason) {
		w.Errorf("the reason is %s, want one of %v\n%s", n.reason, want.reasons, n.line)
	}
	if got := ptr.Deref(status.Failovers, 0); got != 1 {
		w.Errorf("the bridge has switched %d times, want 1: %+v", got, status.LastFailover)
	}
	if f := status.LastFailover; f == nil || f.From != "primary" || f.To != w.backup.Name {
		w.Errorf("the last failover is %+v, want from primary to %s", f, w.backup.Name)
	}

	if heal != nil {
		heal(w)
	}
	reports := w.settle(began)
	for i, s := range w.streams {
		gap := s.gap(began, end)
		if gap > within+margin {
			w.Errorf("QoS %d: nothing arrived for %s, want at most %s", s.qos, gap, within)
		}
		results.add(result{
			place: place, fault: f.name, version: string(w.version), side: w.side, direction: words(w.side, w.direction), qos: fmt.Sprint(s.qos),
			reason: n.reason, noticed: noticed, bound: within, gap: gap, lost: reports[i].lost, twice: reports[i].twice,
		})
	}
}

// account is what became of a stream.
type account struct{ lost, twice int }

// settle ends the streams, has the bridge fetch what the primary holds, and counts.
func (w *world) settle(fault time.Time) []account {
	w.Helper()
	for _, s := range w.streams {
		for _, p := range s.parts {
			must(w, p.publisher.StopAndDrain(wholly))
		}
	}
	accounts := make([]account, len(w.streams))
	count := func(i int, p *part) {
		w.Helper()
		r := p.judge(w, fault)
		accounts[i].lost += len(r.Lost)
		accounts[i].twice += r.Duplicates
	}
	for i, s := range w.streams {
		count(i, s.parts[len(s.parts)-1])
	}
	if w.direction == toward {
		return accounts
	}
	w.backup.Stop()
	for i, s := range w.streams {
		count(i, s.parts[0])
	}
	return accounts
}

// notice is a line of the runner's log that says that a server is lost, or was tried in vain.
type notice struct {
	line   string
	at     time.Time
	reason string
}

// noticed is when the side first noticed that the server is lost, and why.
func (w *world) noticed(server string) notice {
	w.Helper()
	lines := w.notices(server)
	if len(lines) == 0 {
		w.Fatalf("the runner's log does not say that %s is lost", server)
	}
	return lines[0]
}

func (w *world) notices(server string) []notice {
	w.Helper()
	line := regexp.MustCompile(fmt.Sprintf(`(?m)^time=(\S+) .*msg="connection (?:lost|failed)" side=%s server=%s .*reason=(\S+).*$`, w.side, server))
	var out []notice
	for _, m := range line.FindAllStringSubmatch(w.runner.Log(), -1) {
		at, err := time.Parse(time.RFC3339Nano, m[1])
		must(w, err)
		out = append(out, notice{m[0], at, m[2]})
	}
	return out
}
