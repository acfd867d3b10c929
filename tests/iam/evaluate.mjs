// Evaluates requests against identity policies: {policies: [{name, policy}], requests: [{action, resource, context}]} on
// standard input, a list of {allowed, by: [[policy, Sid]], ignored: [context keys], error} on standard output.
import { readFileSync } from 'node:fs'
import { runSimulation } from '@cloud-copilot/iam-simulate'

const { account, principal, policies, requests } = JSON.parse(readFileSync(0, 'utf8'))
const answers = []
for (const { action, resource, context } of requests) {
  const answer = await runSimulation(
    {
      identityPolicies: policies,
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      request: { principal, action, resource: { resource, accountId: account }, contextVariables: context }
    },
    {}
  )
  if (answer.resultType === 'error') {
    answers.push({ allowed: false, by: [], ignored: [], error: JSON.stringify(answer.errors) })
    continue
  }
  const results = answer.resultType === 'single' ? [answer.result] : answer.results
  answers.push({
    allowed: answer.overallResult === 'Allowed',
    by: results.flatMap((one) =>
      (one.analysis?.identityAnalysis?.allowStatements ?? []).map((s) => [s.policyId, s.explain.identifier])
    ),
    ignored: results.flatMap((one) => one.ignoredContextKeys ?? []),
    error: null
  })
}
process.stdout.write(JSON.stringify(answers))
