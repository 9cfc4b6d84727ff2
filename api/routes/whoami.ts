/** Who the caller is to this API: what came of its token. A page learns from it which acts to offer. */
import { Type } from 'typebox';
import { ANONYMOUS, ROLES } from '../access/permissions.js';
import type { Api } from '../dependencies.js';
import { ProblemSchema } from '../http/problems.js';
import { oneOf } from '../http/schemas.js';

export function whoamiRoutes(app: Api): void {
  app.get(
    '/whoami',
    {
      schema: {
        summary: 'Who you are, and which roles you have here',
        tags: ['orders'],
        response: {
          200: Type.Object({
            subject: Type.String({ description: '`anonymous` where nobody is authenticated' }),
            roles: Type.Array(oneOf(ROLES, 'Those of the token that this API knows')),
            isAuthenticated: Type.Boolean({
              description: 'false: the API authenticates nobody, and everybody has every role',
            }),
            expiresAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
              description: 'When the token is good no more',
            }),
          }),
          '4xx': ProblemSchema,
        },
      },
    },
    async ({ caller }) => ({
      subject: caller.subject,
      roles: [...caller.roles],
      isAuthenticated: caller !== ANONYMOUS,
      expiresAt: caller.expiresAt === undefined ? null : new Date(caller.expiresAt).toISOString(),
    }),
  );
}
