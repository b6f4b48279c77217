// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"

	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/cluster"
)

// WriteEvents writes a line for each event.
func WriteEvents(out io.Writer, events []corev1.Event, style Style) {
	var t table
	cells := []string{"LAST-SEEN", "COUNT", "TYPE", "REASON", "OBJECT", "MESSAGE"}
	if style.Namespaces {
		cells = append([]string{"NAMESPACE"}, cells...)
	}
	t.add(cells...)
	for i := range events {
		t.add(eventRow(&events[i], &style)...)
	}
	t.write(out, &style)
}

// WriteEvent writes one event without a heading.
func WriteEvent(out io.Writer, event *corev1.Event, style Style) {
	t := table{rows: [][]string{eventRow(event, &style)}}
	t.write(out, &style)
}

func eventRow(e *corev1.Event, style *Style) []string {
	seen, count := cluster.EventTime(e), e.Count
	if e.Series != nil {
		count = e.Series.Count
	}
	cells := []string{age(&seen, style.Now), fmt.Sprint(max(count, 1)), orNone(e.Type), orNone(e.Reason), clean(e.InvolvedObject.Kind + "/" + e.InvolvedObject.Name), clean(e.Message)}
	if style.Namespaces {
		cells = append([]string{e.Namespace}, cells...)
	}
	return cells
}
