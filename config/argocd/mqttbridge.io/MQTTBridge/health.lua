local hs = {status = "Progressing", message = "Waiting for the operator"}

if obj.metadata.deletionTimestamp ~= nil then
  hs.message = "Pending deletion"
  return hs
end

-- Until the operator has seen this generation, the conditions describe an earlier one.
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return hs
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions or {}) do
  conditions[condition.type] = condition
end

-- The first condition that is True decides.
local verdicts = {
  {"Stalled", "Degraded"},
  {"Reconciling", "Progressing"},
  {"Suspended", "Suspended"},
  {"Ready", "Healthy"},
}
for _, verdict in ipairs(verdicts) do
  local condition = conditions[verdict[1]]
  if condition ~= nil and condition.status == "True" then
    hs.status = verdict[2]
    hs.message = condition.message
    return hs
  end
end

-- Nothing is left to do for the operator, and the bridge does not forward.
if conditions.Ready ~= nil then
  hs.status = "Degraded"
  hs.message = conditions.Ready.message
end
return hs
