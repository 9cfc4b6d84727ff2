/** A release whose saga's code fails at once. */
export const OrderSaga = async (): Promise<never> => {
  throw new TypeError('planted: this build cannot begin a saga');
};
