// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// removeSurplus removes the fields that the latest report does not have from the runner's part
// of the status. An apply leaves them if another client has written them, for example a tool
// that restores the status of a bridge. It replaces a list with such fields as a whole.
func (k *Kubernetes) removeSurplus(ctx context.Context, timeout time.Duration) error {
	sent := *k.sent
	sent.Conditions = nil
	want, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&sent)
	if err != nil {
		return fmt.Errorf("converting the report: %w", err)
	}
	got, err := runtime.DefaultUnstructuredConverter.ToUnstructured(k.stored)
	if err != nil {
		return fmt.Errorf("converting the stored report: %w", err)
	}
	if removal := surplus(got, want); len(removal) > 0 {
		k.log.Info("removing a part of the status that another client has written", "bridge", k.name, "namespace", k.ns)
		body, err := json.Marshal(map[string]any{"status": removal})
		if err != nil {
			return fmt.Errorf("encoding the status: %w", err)
		}
		answer, err := k.patch(ctx, "?fieldManager="+v1alpha1.RunnerFieldManager, mergePatch, body, timeout)
		if err != nil {
			return err
		}
		if k.stored, err = reportIn(answer); err != nil {
			return err
		}
	}
	k.clean = true
	return nil
}

// surplus returns a merge patch that removes the fields of got that want does not have, and replaces
// the lists that differ.
func surplus(got, want map[string]any) map[string]any {
	out := map[string]any{}
	for name, value := range got {
		wanted, ok := want[name]
		if !ok {
			out[name] = nil
			continue
		}
		if _, isList := value.([]any); isList && !reflect.DeepEqual(value, wanted) {
			out[name] = wanted
		}
		fields, isObject := value.(map[string]any)
		if wantedFields, ok := wanted.(map[string]any); ok && isObject {
			if part := surplus(fields, wantedFields); len(part) > 0 {
				out[name] = part
			}
		}
	}
	return out
}
