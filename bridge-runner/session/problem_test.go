// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

// Problem is an error as users see it.
type Problem struct {
	Reason, Message string
	Permanent       bool
}

func (p *Problem) Error() string { return p.Message }

// These functions explain errors to users. Package diagnosis imports this package, so that a file of the
// external test package sets them.
var (
	Explain           func(error) *Problem
	ExplainProbe      func(error) *Problem
	ExplainShortfalls func(Shortfalls) []*Problem
	ExplainRemarks    func(Remarks) []string
)
