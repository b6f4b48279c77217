// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// findLoop describes a loop of messages through this bridge and others that connect the
// same servers. It returns an empty string if there is none. It searches only if one of
// these bridges has changed since the last search.
func (r *Reconciler) findLoop(ctx context.Context, b *v1alpha1.MQTTBridge, p *plan) (string, error) {
	keys, version := r.servers.sharing(p.pairs, client.ObjectKeyFromObject(b), p.loopVersion)
	if version == p.loopVersion {
		return p.loop, nil
	}
	loop := ""
	if !isSuspended(b) {
		others, err := r.activeBridges(ctx, keys)
		if err != nil {
			return "", err
		}
		if len(others) > 0 {
			if l := manifest.FindLoopThrough(b, others); l != nil {
				loop = l.String()
			}
		}
	}
	p.loop, p.loopVersion = loop, version
	return loop, nil
}

// activeBridges returns the bridges with the keys that are neither suspended nor being
// deleted. They belong to the cache and must not be changed.
func (r *Reconciler) activeBridges(ctx context.Context, keys []client.ObjectKey) ([]*v1alpha1.MQTTBridge, error) {
	var out []*v1alpha1.MQTTBridge
	for _, key := range keys {
		x := &v1alpha1.MQTTBridge{}
		err := r.Client.Get(ctx, key, x, client.UnsafeDisableDeepCopy)
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("reading bridge %s: %w", key, err)
		}
		if err == nil && x.DeletionTimestamp.IsZero() && !isSuspended(x) {
			out = append(out, x)
		}
	}
	return out, nil
}

// withLoop adds a loop of messages, if there is one, to the condition Degraded.
func withLoop(o *observation, c metav1.Condition) metav1.Condition {
	message := fmt.Sprintf(msgLoop, o.loop)
	switch {
	case o.loop == "" || c.Status == metav1.ConditionUnknown:
	case c.Status == metav1.ConditionTrue:
		c.Message += "; " + message
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonMessageLoop, message
	}
	return c
}
