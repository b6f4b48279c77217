// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// The rights of the operator. It must itself hold the rights that it grants to runners: to
// patch mqttbridges/status, and to watch a ConfigMap. The UID of kube-system identifies the
// cluster. The operator has no rights on Secrets, only reads pods, and has no right to delete
// a claim, which may hold messages.
//
// +kubebuilder:rbac:groups=mqttbridge.io,resources=mqttbridges,verbs=get;list;watch
// +kubebuilder:rbac:groups=mqttbridge.io,resources=mqttbridges/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=configmaps;serviceaccounts,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=namespaces,resourceNames=kube-system,verbs=get
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=roles;rolebindings,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// concurrentReconciles is the largest number of bridges that are reconciled at the same
// time. When a server that many bridges use is lost, all of them report within the same
// second, and the status of each must show it within one second.
const concurrentReconciles = 8

// Reconciler reconciles MQTTBridges.
type Reconciler struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
	// APIReader reads from the API server.
	APIReader client.Reader
	// Recorder sends events.
	Recorder events.EventRecorder
	// RunnerImage is the image of runners whose bridge sets no image.
	RunnerImage string
	// Class is the class of bridges that are reconciled: all others are ignored. It is empty
	// for bridges without a class.
	Class string
	// Policy limits the values that bridges may set.
	Policy Policy
	// MaxUnavailable is the number, or the percentage, of bridges that may recover at the
	// same time from a roll-out, in which the operator replaces their pods. At least one
	// bridge may.
	MaxUnavailable intstr.IntOrString
	// ClusterID identifies the cluster in default client identifiers.
	ClusterID string
	// Now returns the current time.
	Now func() time.Time

	plans    planBook
	servers  serverIndex
	fleet    fleet
	revision revision
}

// Reconcile makes one pass over one bridge, as the package comment describes.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	bridge := &v1alpha1.MQTTBridge{}
	if err := r.Client.Get(ctx, req.NamespacedName, bridge); err != nil {
		r.forget(req.NamespacedName)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !bridge.DeletionTimestamp.IsZero() || bridge.Spec.ClassName != r.Class {
		r.forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	bridge.SetDefaultClientIDs(r.ClusterID) // of the copy: a runner does not know the cluster
	p, err := r.planFor(bridge)
	if err != nil {
		return ctrl.Result{}, err
	}
	if bridge.ResourceVersion == p.replaced {
		// The cache does not hold the latest write yet. When it does, another pass follows.
		return ctrl.Result{}, nil
	}
	wrote, err := r.reconcileChildren(ctx, bridge, p)
	var stall *stallError
	if err != nil && !errors.As(err, &stall) {
		// The status shows the runner's report even if the children cannot be applied.
		return ctrl.Result{}, errors.Join(err, r.updateStatus(ctx, bridge, p, wrote, nil))
	}
	if statusErr := r.updateStatus(ctx, bridge, p, wrote, stall); statusErr != nil {
		return ctrl.Result{}, statusErr
	}
	if stall != nil && (stall.reason == v1alpha1.ReasonInvalidSpec || stall.reason == v1alpha1.ReasonNotAllowed) {
		return ctrl.Result{}, nil // A retry cannot help; a change of the spec starts another pass.
	}
	return ctrl.Result{RequeueAfter: r.retryAfter(req.NamespacedName, p)}, err
}

// retryAfter returns after which time a bridge needs another pass, or 0 if only a change
// starts one.
func (r *Reconciler) retryAfter(bridge client.ObjectKey, p *plan) time.Duration {
	if p.awaitsCache() {
		return cacheDelay
	}
	return r.fleet.retryAfter(bridge)
}

// forget removes the state of a bridge that the operator does not reconcile, or no longer.
func (r *Reconciler) forget(bridge client.ObjectKey) {
	r.plans.forget(bridge)
	r.fleet.setState(bridge, "")
}

// reconcileChildren validates the spec and makes the children match it. If the spec is
// invalid or breaks the policy, it does not change the children: a bridge that runs continues
// to run.
func (r *Reconciler) reconcileChildren(ctx context.Context, b *v1alpha1.MQTTBridge, p *plan) (wrote bool, err error) {
	if len(p.invalid) > 0 {
		return false, &stallError{v1alpha1.ReasonInvalidSpec, fmt.Errorf(msgInvalidSpec, p.invalid.ToAggregate())}
	}
	if len(p.forbidden) > 0 {
		return false, &stallError{v1alpha1.ReasonNotAllowed, fmt.Errorf(msgInvalidSpec, p.forbidden.ToAggregate())}
	}
	return r.applyChildren(ctx, b, p)
}

// updateStatus observes the children and pods, and writes the status if it has changed. It
// then sends the events that the status records, and clears the report of a runner whose pod
// is gone.
func (r *Reconciler) updateStatus(ctx context.Context, b *v1alpha1.MQTTBridge, p *plan, wrote bool, stall *stallError) error {
	o, err := r.observe(ctx, b)
	if err != nil {
		return err
	}
	o.wrote, o.stall = wrote, stall
	if stall == nil {
		if o.loop, err = r.findLoop(ctx, b, p); err != nil {
			return err
		}
		if o.sharedClientIDs, err = r.findSharedClientIDs(ctx, b); err != nil {
			return err
		}
	}
	now := r.Now()
	marker, due := announce(o, now)
	status := &ownStatus{Conditions: derive(o, now), ObservedGeneration: b.Generation, Announced: marker}
	if !status.equals(&b.Status) {
		read := b.ResourceVersion
		if err := r.writeStatus(ctx, b, status); err != nil {
			return ignoreStale(ctx, err)
		}
		if b.ResourceVersion != read {
			p.replaced = read
		}
		for _, e := range due {
			r.Recorder.Eventf(b, nil, e.eventType, e.reason, e.action, "%s", e.note)
		}
	}
	if b.Status.Runner != nil && o.reportingPod() == nil {
		return ignoreStale(ctx, r.clearReport(ctx, b))
	}
	return nil
}

// observe reads the state that the conditions are derived from. The objects belong to the
// cache and must not be changed.
func (r *Reconciler) observe(ctx context.Context, b *v1alpha1.MQTTBridge) (*observation, error) {
	o := &observation{bridge: b}
	key := client.ObjectKey{Namespace: b.Namespace, Name: childName(b.Name)}
	deployment := &appsv1.Deployment{}
	err := r.Client.Get(ctx, key, deployment, client.UnsafeDisableDeepCopy)
	if err == nil {
		o.deployment = deployment
	} else if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("reading Deployment %s: %w", key.Name, err)
	}
	claim := &corev1.PersistentVolumeClaim{}
	err = r.Client.Get(ctx, key, claim, client.UnsafeDisableDeepCopy)
	if err == nil {
		o.claim = claim
	} else if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("reading PersistentVolumeClaim %s: %w", key.Name, err)
	}
	pods := &corev1.PodList{}
	if err := r.Client.List(ctx, pods, client.InNamespace(b.Namespace), client.MatchingFields{podsOfBridge: b.Name}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the pods: %w", err)
	}
	o.pods = pods.Items
	return o, nil
}

// ignoreStale ignores the error of a write that was refused because the bridge has changed:
// the watch delivers the change and starts another pass.
func ignoreStale(ctx context.Context, err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		log.FromContext(ctx).V(1).Info("the bridge has changed since it was read; another pass follows", "error", err.Error())
		return nil
	}
	return err
}

// SetupWithManager watches bridges, their children and their pods.
//
// Updates of a bridge are not filtered, because the runner's reports are status changes
// from which conditions are derived. The operator's own status writes also start a pass,
// which finds nothing to write.
//
// A replica that is not the leader also watches, so that it has all objects in its cache
// when it takes the lead.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	resetMetrics()
	if err := addIndexes(mgr.GetFieldIndexer()); err != nil {
		return fmt.Errorf("setting up the MQTTBridge controller: %w", err)
	}
	c := ctrl.NewControllerManagedBy(mgr).
		Named("mqttbridge").
		For(&v1alpha1.MQTTBridge{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(bridgeOfLabels)).
		Watches(&appsv1.Deployment{}, r.continueRollout()).
		Watches(&v1alpha1.MQTTBridge{}, r.servers.handler(), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.MQTTBridge{}, handler.EnqueueRequestsFromMapFunc(r.enqueueSharedClientIDs), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: concurrentReconciles,
			EnableWarmup:            ptr.To(true),
			// Tests run several operators in one process.
			SkipNameValidation: ptr.To(true),
		})
	for _, kind := range childKinds {
		if kind.neverPrune {
			c = c.Watches(kind.object, handler.EnqueueRequestsFromMapFunc(bridgeOfLabels))
		} else {
			c = c.Owns(kind.object)
		}
	}
	if err := c.Complete(r); err != nil {
		return fmt.Errorf("setting up the MQTTBridge controller: %w", err)
	}
	return nil
}

// bridgeOfLabels returns a request for the bridge that a pod or a claim belongs to, according
// to its labels. A retained claim has no owner.
func bridgeOfLabels(_ context.Context, obj client.Object) []ctrl.Request {
	name := obj.GetLabels()[labelInstance]
	if name == "" {
		return nil
	}
	return []ctrl.Request{{NamespacedName: client.ObjectKey{Namespace: obj.GetNamespace(), Name: name}}}
}
