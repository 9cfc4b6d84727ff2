#!/bin/sh
# The namespace and the search attributes that the sagas are found by. Safe to repeat; runs when the server answers.
set -eu
: "${TEMPORAL_NAMESPACE:=default}"
: "${TEMPORAL_RETENTION:=7d}"
: "${PATIENCE:=60}"

# patiently <command…>: a fresh server needs a while, and so do its caches after each change.
patiently() {
  left=$PATIENCE
  until said=$("$@" 2>&1); do
    left=$((left - 1))
    if [ "$left" -le 0 ]; then
      printf '%s\n%s\n' "Given up: $*" "$said" >&2
      exit 1
    fi
    sleep 2
  done
}

has_namespace() { temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE"; }
has_attribute() {
  temporal operator search-attribute list --namespace "$TEMPORAL_NAMESPACE" | grep -qw "$1"
}
ensure_namespace() {
  has_namespace || temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$TEMPORAL_RETENTION"
}
ensure_attribute() {
  has_attribute "$1" || temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" --name "$1" --type Keyword
}

patiently temporal operator cluster health
patiently ensure_namespace
for attribute in SagaState SagaStep SagaFailure CustomerId; do
  patiently ensure_attribute "$attribute"
  patiently has_attribute "$attribute"
done
echo "Namespace $TEMPORAL_NAMESPACE has the search attributes SagaState, SagaStep, SagaFailure, CustomerId."
