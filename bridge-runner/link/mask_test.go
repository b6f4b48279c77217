// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

func TestExplain_ServerThatRepeatsASecret_IsMaskedInACopy(t *testing.T) {
	l := &Link{Servers: []Server{
		{Mask: func(text string) string { return strings.ReplaceAll(text, "s3cr3t", v1alpha1.Masked) }},
		{},
	}}
	original := &session.Error{Reason: v1alpha1.ReasonConnectRefused, Message: `the server refuses the connection (CONNACK 0x80, "bad s3cr3t")`, Err: io.EOF}
	masked := l.explain(0, original)
	if masked.Message != `the server refuses the connection (CONNACK 0x80, "bad ...")` || masked.Reason != original.Reason || !errors.Is(masked, io.EOF) {
		t.Errorf("%+v", masked)
	}
	if !strings.Contains(original.Message, "s3cr3t") {
		t.Error("the session's own error has changed")
	}
	if got := l.explain(1, original); got != original {
		t.Errorf("without a mask: %+v", got)
	}
}
