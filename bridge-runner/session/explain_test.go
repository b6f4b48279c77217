// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

func init() {
	session.Explain = func(err error) *session.Problem { return problem(diagnosis.Of(err)) }
	session.ExplainProbe = func(err error) *session.Problem { return problem(diagnosis.OfProbe(err)) }
	session.ExplainShortfalls = func(s session.Shortfalls) (all []*session.Problem) {
		for _, p := range diagnosis.Shortfalls(s) {
			all = append(all, problem(&p))
		}
		return all
	}
	session.ExplainRemarks = diagnosis.Remarks
}

func problem(p *diagnosis.Problem) *session.Problem {
	return &session.Problem{Reason: p.Reason, Message: p.Message, Permanent: p.Permanent()}
}
