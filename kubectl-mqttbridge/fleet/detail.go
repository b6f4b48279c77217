// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"
	"io"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/count"
)

// WriteDetail writes everything that is known about each bridge.
func (v *View) WriteDetail(out io.Writer, style Style) {
	for i := range v.Bridges {
		if i > 0 {
			_, _ = fmt.Fprintln(out)
		}
		v.Bridges[i].writeDetail(out, &style)
	}
	for _, note := range v.Notes {
		_, _ = fmt.Fprintln(out, "note: "+clean(note))
	}
}

func (b *Bridge) writeDetail(out io.Writer, style *Style) {
	head := fmt.Sprintf("%s/%s: %s", b.Namespace, b.Name, b.State)
	if b.Since != nil {
		head += fmt.Sprintf(" for %s", age(b.Since, style.Now))
	}
	if b.RunningGeneration != b.Generation && b.RunningGeneration != 0 { // 0: no runner has reported
		head += fmt.Sprintf(", the runner runs generation %d of %d", b.RunningGeneration, b.Generation)
	}
	_, _ = fmt.Fprintln(out, style.paint(head))
	if b.Message != "" {
		_, _ = fmt.Fprintf(out, "  %s: %s\n", clean(b.Reason), clean(b.Message))
	}
	b.writeConditions(out)
	for _, s := range b.sides() {
		writeSide(out, s.name, s.status, style)
	}
	b.writeMessages(out, style)
	b.writeRunners(out, style)
}

// writeConditions writes the conditions that are True and do not decide about the state, because a
// bridge can have several problems.
func (b *Bridge) writeConditions(out io.Writer) {
	for i := range b.Conditions {
		c := &b.Conditions[i]
		switch c.Type {
		case v1alpha1.ConditionStalled, v1alpha1.ConditionDegraded, v1alpha1.ConditionReconciling, v1alpha1.ConditionUpdateScheduled:
		default:
			continue
		}
		if c.Status == metav1.ConditionTrue && (c.Reason != b.Reason || c.Message != b.Message) {
			_, _ = fmt.Fprintf(out, "  %s, %s: %s\n", c.Type, clean(c.Reason), clean(c.Message))
		}
	}
}

func writeSide(out io.Writer, name string, s *v1alpha1.SideStatus, style *Style) {
	if s == nil {
		_, _ = fmt.Fprintf(out, "\n%s side: no runner has reported on it\n", name)
		return
	}
	_, _ = fmt.Fprintf(out, "\n%s side, client identifier %s\n", name, orNone(s.ClientID))
	t := table{indent: "  "}
	t.add("SERVER", "STATE", "SINCE", "URL", "LAST-ERROR")
	for i := range s.Servers {
		server := &s.Servers[i]
		failure := ""
		if server.LastError != nil {
			failure = clean(server.LastError.Reason + ": " + server.LastError.Message)
		}
		t.add(clean(server.Name), string(server.State), age(&server.Since.Time, style.Now), clean(v1alpha1.PublicURL(server.URL)), failure)
	}
	t.write(out, style)
	if f := s.LastFailover; f != nil {
		_, _ = fmt.Fprintf(out, "  last switch %s ago: %s\n", age(&f.Time.Time, style.Now), describeSwitch(f))
	}
	if s.Switches != nil && *s.Switches > 0 {
		_, _ = fmt.Fprintf(out, "  switches since the runner started: %d\n", *s.Switches)
	}
	if r := s.RequestedSwitch; r != nil {
		_, _ = fmt.Fprintf(out, "  requested switch to %s: %s for %s%s\n", clean(r.Server), r.State, age(&r.Time.Time, style.Now), after(": ", r.Message))
	}
	for i := range s.Shortfalls {
		_, _ = fmt.Fprintf(out, "  shortfall %s: %s\n", clean(s.Shortfalls[i].Reason), clean(s.Shortfalls[i].Message))
	}
}

func describeSwitch(f *v1alpha1.FailoverRecord) string {
	parts := []string{fmt.Sprintf("from %s to %s, %s", clean(f.From), clean(f.To), clean(f.Reason))}
	add := func(format string, n *int64) {
		if n != nil {
			parts = append(parts, fmt.Sprintf(format, *n))
		}
	}
	if f.Drained != nil { // only a switch from a server that had not failed drains
		add("no messages were published for %d ms", f.DurationMilliseconds)
	} else {
		add("%d ms without a server", f.DurationMilliseconds)
	}
	if ptr.Deref(f.SilentMilliseconds, 0) > 0 {
		add("detected after %d ms of silence", f.SilentMilliseconds)
	}
	messages := func(how string, n *int64) {
		if n != nil {
			parts = append(parts, count.Of(*n, "message")+" "+how)
		}
	}
	messages("drained", f.Drained)
	messages("resent", f.Resent)
	return strings.Join(parts, ", ")
}

func (b *Bridge) writeMessages(out io.Writer, style *Style) {
	_, _ = fmt.Fprintln(out, "\nmessages")
	if b.LocalToRemote == nil {
		_, _ = fmt.Fprintf(out, "  rates and numbers are not known: %s\n", clean(b.Unknown))
	} else {
		t := table{indent: "  "}
		t.add("DIRECTION", "MESSAGES/S", "BYTES/S", "FORWARDED", "DROPPED", "RESENT", "IN-FLIGHT", "BACKLOG", "BYTES", "OLDEST")
		for _, d := range []struct {
			name string
			flow *Flow
		}{{"local to remote", b.LocalToRemote}, {"remote to local", b.RemoteToLocal}} {
			f, size := d.flow, none
			if f.BytesPerSecond != nil {
				size = number(*f.BytesPerSecond)
			}
			t.add(d.name, rate(f), size, fmt.Sprint(f.Forwarded), fmt.Sprint(f.Dropped), fmt.Sprint(f.Resent), fmt.Sprint(f.InFlight),
				fmt.Sprint(f.BacklogMessages), number(float64(f.BacklogBytes)), human(f.BacklogSeconds))
		}
		t.write(out, style)
	}
	if b.Buffer != nil {
		writeBuffer(out, "local to remote", b.Buffer.LocalToRemote, style)
		writeBuffer(out, "remote to local", b.Buffer.RemoteToLocal, style)
	}
	if b.Unforwardable != nil {
		writeUnforwardable(out, "local to remote", b.Unforwardable.LocalToRemote, style)
		writeUnforwardable(out, "remote to local", b.Unforwardable.RemoteToLocal, style)
	}
}

func writeBuffer(out io.Writer, direction string, s *v1alpha1.BacklogStatus, style *Style) {
	if s != nil {
		_, _ = fmt.Fprintf(out, "  buffer on disk, %s: %s for %s%s\n", direction, s.State, age(&s.Since.Time, style.Now), after(": ", s.Message))
	}
}

func writeUnforwardable(out io.Writer, direction string, m *v1alpha1.UnforwardableMessage, style *Style) {
	if m != nil {
		_, _ = fmt.Fprintf(out, "  unforwardable %s ago, %s, topic %q: %s%s\n", age(&m.Time.Time, style.Now), direction, m.Topic, clean(m.Reason), after(": ", m.Message))
	}
}

func (b *Bridge) writeRunners(out io.Writer, style *Style) {
	_, _ = fmt.Fprintln(out, "\nrunners")
	if len(b.Runners) == 0 {
		_, _ = fmt.Fprintln(out, "  none has reported")
		return
	}
	t := table{indent: "  "}
	t.add("POD", "ROLE", "SINCE", "NODE", "GENERATION", "VERSION", "NOTE")
	for i := range b.Runners {
		r := &b.Runners[i]
		note := ""
		switch {
		case r.Refused != nil:
			note = fmt.Sprintf("refuses generation %d: %s", r.Refused.Generation, r.Refused.Message)
		case !r.StopTime.IsZero():
			note = "stops for " + age(&r.StopTime.Time, style.Now)
		case r.Warm != nil && *r.Warm:
			note = "warm"
		case r.Role == v1alpha1.RunnerStandby:
			note = "not warm"
		}
		generation := none
		if r.Generation > 0 {
			generation = fmt.Sprint(r.Generation)
		}
		t.add(clean(r.Pod), orNone(string(r.Role)), age(&r.Since.Time, style.Now), orNone(r.Node), generation, orNone(r.Version), clean(note))
	}
	t.write(out, style)
	if l := b.LastTakeover; l != nil {
		gap := ""
		if l.GapMilliseconds != nil {
			gap = fmt.Sprintf(", gap %d ms", *l.GapMilliseconds)
		}
		_, _ = fmt.Fprintf(out, "  last takeover %s ago: from %s to %s, %s%s\n", age(&l.Time.Time, style.Now), orNone(l.From), clean(l.To), clean(l.Reason), gap)
	}
}

// after returns a text after a separator, or an empty string if the text is empty.
func after(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + clean(text)
}
