%% Runs the scripts of supervisor_otp_test.cpp on OTP's supervisor: the other side of the differential test.
%%
%%   erlc supervisor_peer.erl && erl -noshell +S 1:1 -run supervisor_peer main FILE
%% FILE holds one term a script; prints one line for each: its name, a tab, what happened at each step.
-module(supervisor_peer).
-behaviour(supervisor).
-export([main/1, init/1, start_child/2, child_init/3]).

%% {Name, Strategy, Intensity, AutoShutdown, [{Id, Restart, Significant}], Steps}
%%   Step  {exit, Id, Reason} | {fail, Id, Starts} | {start, Id, Restart} | {terminate, Id} | {restart, Id} | {delete, Id}
main([File]) ->
    logger:set_primary_config(level, none),
    {ok, Scripts} = file:consult(File),
    [io:format("~s\t~s~n", [element(1, Script), run(Script)]) || Script <- Scripts],
    erlang:halt(0, [{flush, true}]).

run({_, Strategy, Intensity, Auto, Children, Steps}) ->
    process_flag(trap_exit, true),
    Tracer = spawn_link(fun() -> trace([], #{}, #{}) end),
    {ok, Sup} = supervisor:start_link(?MODULE, {Strategy, Intensity, Auto, Tracer, Children}),
    Texts = [flush(Tracer) | [step(S, Sup, Tracer) || S <- Steps]],
    End = case is_process_alive(Sup) of
        true ->
            Shown = lists:join(" ", lists:reverse([show(C) || C <- supervisor:which_children(Sup)])),
            exit(Sup, shutdown),
            Shown;
        false -> "over"
    end,
    receive {'EXIT', Sup, Reason} -> shutdown = Reason end,
    lists:join(" | ", Texts ++ [End]).

show({Id, Pid, _, _}) when is_pid(Pid) -> atom_to_list(Id);
show({Id, State, _, _}) -> [atom_to_list(Id), $:, atom_to_list(State)].

step({exit, Id, Reason}, Sup, Tracer) ->
    case call(Tracer, {pid, Id}) of
        none -> ok;
        Pid ->
            Ref = monitor(process, Pid),
            exit_as(Pid, Reason),
            receive {'DOWN', Ref, _, _, _} -> ok end
    end,
    settle(Sup),
    flush(Tracer);
step({fail, Id, Starts}, _, Tracer) ->
    call(Tracer, {fail, Id, Starts}),
    flush(Tracer);
step(Request, Sup, Tracer) ->
    Result = try word(request(Request, Sup, Tracer)) catch exit:_ -> "noproc" end,
    settle(Sup),
    string:trim([flush(Tracer), " ", Result]).

request({start, Id, Restart}, Sup, Tracer) -> supervisor:start_child(Sup, spec(Tracer, {Id, Restart, false}));
request({terminate, Id}, Sup, _) -> supervisor:terminate_child(Sup, Id);
request({restart, Id}, Sup, _) -> supervisor:restart_child(Sup, Id);
request({delete, Id}, Sup, _) -> supervisor:delete_child(Sup, Id).

word(ok) -> "ok";
word({ok, _}) -> "ok";
word({error, Reason}) when is_atom(Reason) -> atom_to_list(Reason);
word({error, {Reason, _}}) -> atom_to_list(Reason).

exit_as(Pid, kill) -> exit(Pid, kill);
exit_as(Pid, Reason) -> Pid ! {exit, Reason}.

%% A start that fails is tried again in a message to itself, so once for each restart that the scripts allow.
settle(Sup) -> [try supervisor:which_children(Sup) catch exit:_ -> ok end || _ <- lists:seq(1, 12)].

%% The one who notes what happens: children start and fail as it says, so that the order is clear.
trace(Events, Pids, Fails) ->
    receive
        {up, Id, Pid} ->
            case maps:get(Id, Fails, 0) of
                0 -> monitor(process, Pid, [{tag, {down, Id}}]), Pid ! go, trace([[$+, Id] | Events], Pids#{Id => Pid}, Fails);
                N -> Pid ! fail, trace(Events, Pids, Fails#{Id => N - 1})
            end;
        {{down, Id}, _, _, Pid, _} ->
            trace([[$-, Id] | Events], case Pids of #{Id := Pid} -> maps:remove(Id, Pids); _ -> Pids end, Fails);
        {call, From, {pid, Id}} -> From ! {self(), maps:get(Id, Pids, none)}, trace(Events, Pids, Fails);
        {call, From, {fail, Id, N}} -> From ! {self(), ok}, trace(Events, Pids, Fails#{Id => N});
        {call, From, flush} ->
            From ! {self(), lists:join(" ", [[Sign, atom_to_list(Id)] || [Sign | Id] <- lists:reverse([[S | I] || [S, I] <- Events])])},
            trace([], Pids, Fails)
    end.

call(Tracer, What) -> Tracer ! {call, self(), What}, receive {Tracer, Answer} -> Answer end.
flush(Tracer) -> call(Tracer, flush).

init({Strategy, Intensity, Auto, Tracer, Children}) ->
    {ok, {#{strategy => Strategy, intensity => Intensity, period => 3600, auto_shutdown => Auto},
          [spec(Tracer, C) || C <- Children]}}.

spec(Tracer, {Id, Restart, Significant}) ->
    #{id => Id, start => {?MODULE, start_child, [Id, Tracer]}, restart => Restart, significant => Significant}.

start_child(Id, Tracer) -> proc_lib:start_link(?MODULE, child_init, [self(), Id, Tracer]).
child_init(Parent, Id, Tracer) ->
    Tracer ! {up, Id, self()},
    receive
        go -> proc_lib:init_ack(Parent, {ok, self()}), receive {exit, Reason} -> exit(Reason) end;
        fail -> proc_lib:init_ack(Parent, {error, no_luck})
    end.
